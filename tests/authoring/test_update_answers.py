"""`pipe test --update` replaces answers and no other character."""

from __future__ import annotations

from pathlib import Path

import pytest

from alsobought.authoring.case_files import Case, Rows, read_cases
from alsobought.authoring.pipe_tests import Outcome
from alsobought.authoring.update_answers import commented_cases, new_answer, newly_empty, replace_answers
from alsobought.cli.pipe_test import CaseRun, write_answers
from alsobought.console import out
from alsobought.errors import Unusable

TEXT = """\
# On top.
- it: one line   # a comment
  given: [{event_type: view, item_id: tea}]
  answer: [{item_id: tea}, {item_id: mug}]  # the end of a line
- it: a block
  answer:  # why

    - {item_id: "#tea", views: 1}
    - item_id: mug
      views: 2   # stays

# between
- {it: "in flow", answer: [], ask: {limit: 1}}
- it: the last
  ask: {limit: 2}
  answer:
  - item_id: "5"
"""


def test_an_answer_is_replaced_in_place_and_nothing_else_changes() -> None:
    new: dict[int, Rows] = {
        0: [{"item_id": "pot", "at": "2026-01-01T00:00:00Z", "none": None, "score": 1e-05}],
        1: [{"item_id": "pot", "views": 3}],
        2: [{"item_id": "5", "tags": ["a, b", "[c]"]}],
        3: [],
    }
    assert replace_answers(TEXT, new, "x.yaml") == (
        "# On top.\n"
        "- it: one line   # a comment\n"
        "  given: [{event_type: view, item_id: tea}]\n"
        "  answer: [{item_id: pot, at: '2026-01-01T00:00:00Z', none: null, score: 1.0e-05}]  # the end of a line\n"
        "- it: a block\n"
        "  answer:  # why\n\n"
        "    - {item_id: pot, views: 3}   # stays\n\n"
        "# between\n"
        "- {it: \"in flow\", answer: [{item_id: '5', tags: ['a, b', '[c]']}], ask: {limit: 1}}\n"
        "- it: the last\n"
        "  ask: {limit: 2}\n"
        "  answer: []\n"
    )


def test_a_comment_that_a_new_answer_would_delete_is_found() -> None:
    assert commented_cases(TEXT) == set()
    assert commented_cases(TEXT.replace("views: 1}", "views: 1}  # why")) == {1}
    assert commented_cases(TEXT.replace("    - item_id: mug", "    # why\n    - item_id: mug")) == {1}
    assert commented_cases(TEXT.replace("[{item_id: tea}, {item_id: mug}]", "[ # why\n    {item_id: tea}]")) == {0}
    assert commented_cases(TEXT.replace("mug\n      views", "mug # why\n      views").replace("\n", "\r\n")) == {1}


def test_a_long_answer_has_a_line_per_row_and_line_endings_stay() -> None:
    rows = [{"item_id": f"item-number-{n}", "title": "t" * 20} for n in range(3)]
    written = replace_answers("- it: x\r\n  answer: []\r\n- it: y\r\n  answer: []\r\n", {0: rows}, "x.yaml")
    assert written.startswith(
        "- it: x\r\n  answer:\r\n    - {item_id: item-number-0, title: tttttttttttttttttttt}\r\n    - {"
    )
    assert written.endswith("\r\n- it: y\r\n  answer: []\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "- it: x\n  given: &rows [{item_id: tea}]\n  answer: *rows\n",
        "- it: x\n  answer: &rows [{item_id: tea}]\n- it: y\n  answer: *rows\n",
    ],
)
def test_an_answer_with_an_anchor_or_alias_is_rejected(text: str) -> None:
    with pytest.raises(Unusable, match=r"x\.yaml: cannot replace the answers in place"):
        replace_answers(text, {0: []}, "x.yaml")


def test_the_new_answer_has_the_columns_of_the_old_one_and_its_equal_values() -> None:
    case = Case("x", answer=[{"score": 0.33333333, "item_id": "tea"}, {"item_id": "mug"}])
    rows = [{"item_id": "tea", "title": "", "score": 1 / 3}, {"item_id": "pot", "title": "", "score": 0.1}]
    assert new_answer(case, [*rows, rows[1]]) == [
        {"score": 0.33333333, "item_id": "tea"},
        {"item_id": "pot"},
        {"score": 0.1, "item_id": "pot"},
    ]
    assert new_answer(Case("x", answer=[]), rows) == rows
    unordered = Case("x", answer=[{"item_id": "pot", "score": 0.1}, {"title": ""}], ordered=False)
    assert new_answer(unordered, rows) == rows
    assert [list(row) for row in new_answer(unordered, rows)] == [["item_id", "score", "title"]] * 2
    assert new_answer(Case("x", answer=[{"titel": 1}]), rows[:1]) == rows[:1]
    assert new_answer(Case("x", answer=[{"item_id": "tea"}], exact=True), rows[:1]) == rows[:1]


def test_a_case_that_would_expect_no_rows_is_found() -> None:
    cases = {0: Case("x", answer=[{"item_id": "tea"}]), 1: Case("y", answer=[]), 2: Case("z", answer=[{}])}
    assert newly_empty(cases, {0: [], 1: [], 2: [{"item_id": "tea"}]}) == [0]


def test_comments_and_concurrent_edits_of_the_author_are_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases, text = (
        tmp_path / "x.yaml",
        "- {it: is wrong, answer: [{a: 1}]}\n- {it: has a reason, answer: [{a: 1}, # why\n  {a: 2}]}\n",
    )
    cases.write_text(text)
    wrong = Outcome("row 1", rows=[{"a": 5}], rows_differ=True)
    failed = [CaseRun(cases, index, case, wrong) for index, case in enumerate(read_cases(cases))]
    rejected = write_answers(failed, {cases: b"- {it: is wrong, answer: []}\n- {it: has a reason, answer: []}\n"}, out)
    assert (rejected, cases.read_text()) == (failed, text)
    assert "not updated: x is wrong: x.yaml was changed while its cases ran" in capsys.readouterr().out
    assert write_answers(failed, {cases: text.encode()}, out) == failed[1:]
    assert cases.read_text() == text.replace("1}]", "5}]")
    assert "not updated: x has a reason: its answer contains a comment" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]
