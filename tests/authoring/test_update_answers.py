"""`pipe test --update` writes answers and not a character beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from alsobought.authoring.pipe_tests import Case, Outcome, Rows, cases_of
from alsobought.authoring.update_answers import answer_for, commented, emptied, updated
from alsobought.cli.cases import Tried, write_answers
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


def test_an_answer_is_written_in_its_place_and_all_else_stays() -> None:
    new: dict[int, Rows] = {
        0: [{"item_id": "pot", "at": "2026-01-01T00:00:00Z", "none": None, "score": 1e-05}],
        1: [{"item_id": "pot", "views": 3}],
        2: [{"item_id": "5", "tags": ["a, b", "[c]"]}],
        3: [],
    }
    assert updated(TEXT, new, "x.yaml") == (
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


def test_a_comment_that_a_new_answer_would_take_away_is_known() -> None:
    assert commented(TEXT) == set()
    assert commented(TEXT.replace("views: 1}", "views: 1}  # why")) == {1}
    assert commented(TEXT.replace("    - item_id: mug", "    # why\n    - item_id: mug")) == {1}
    assert commented(TEXT.replace("[{item_id: tea}, {item_id: mug}]", "[ # why\n    {item_id: tea}]")) == {0}
    assert commented(TEXT.replace("mug\n      views", "mug # why\n      views").replace("\n", "\r\n")) == {1}


def test_a_long_answer_has_a_line_for_each_row_and_lines_keep_their_ends() -> None:
    rows = [{"item_id": f"item-number-{n}", "title": "t" * 20} for n in range(3)]
    written = updated("- it: x\r\n  answer: []\r\n- it: y\r\n  answer: []\r\n", {0: rows}, "x.yaml")
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
def test_an_answer_that_stands_elsewhere_too_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match=r"x\.yaml: its answers cannot be written"):
        updated(text, {0: []}, "x.yaml")


def test_the_new_answer_names_the_columns_of_the_old_one_and_keeps_what_was_right() -> None:
    case = Case("x", answer=[{"score": 0.33333333, "item_id": "tea"}, {"item_id": "mug"}])
    rows = [{"item_id": "tea", "title": "", "score": 1 / 3}, {"item_id": "pot", "title": "", "score": 0.1}]
    assert answer_for(case, [*rows, rows[1]]) == [
        {"score": 0.33333333, "item_id": "tea"},
        {"item_id": "pot"},
        {"score": 0.1, "item_id": "pot"},
    ]
    assert answer_for(Case("x", answer=[]), rows) == rows
    anyhow = Case("x", answer=[{"item_id": "pot", "score": 0.1}, {"title": ""}], ordered=False)
    assert answer_for(anyhow, rows) == rows
    assert [list(row) for row in answer_for(anyhow, rows)] == [["item_id", "score", "title"]] * 2
    assert answer_for(Case("x", answer=[{"titel": 1}]), rows[:1]) == rows[:1]
    assert answer_for(Case("x", answer=[{"item_id": "tea"}], exact=True), rows[:1]) == rows[:1]


def test_a_case_that_would_expect_nothing_is_known() -> None:
    cases = {0: Case("x", answer=[{"item_id": "tea"}]), 1: Case("y", answer=[]), 2: Case("z", answer=[{}])}
    assert emptied(cases, {0: [], 1: [], 2: [{"item_id": "tea"}]}) == [0]


def test_what_the_author_wrote_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases, text = (
        tmp_path / "x.yaml",
        "- {it: is wrong, answer: [{a: 1}]}\n- {it: has a reason, answer: [{a: 1}, # why\n  {a: 2}]}\n",
    )
    cases.write_text(text)
    wrong = Outcome("row 1", rows=[{"a": 5}], differs=True)
    failed = [Tried(cases, number, case, wrong) for number, case in enumerate(cases_of(cases))]
    still = write_answers(failed, {cases: b"- {it: is wrong, answer: []}\n- {it: has a reason, answer: []}\n"}, out)
    assert (still, cases.read_text()) == (failed, text)
    assert "not updated: x is wrong: x.yaml was changed while its cases ran" in capsys.readouterr().out
    assert write_answers(failed, {cases: text.encode()}, out) == failed[1:]
    assert cases.read_text() == text.replace("1}]", "5}]")
    assert "not updated: x has a reason: there is a comment in its answer" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]
