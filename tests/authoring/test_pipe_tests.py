"""Every case of tests/pipes/*.yaml passes, every pipe has cases, and a wrong answer fails its case."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alsobought.authoring.case_files import Case, Given, read_cases
from alsobought.authoring.pipe_tests import CaseRunner
from alsobought.errors import Unusable
from tests.support.engines import Engine, drop
from tests.support.project import ROOT

FILES = sorted((ROOT / "tests" / "pipes").glob("*.yaml"))
CASES = [pytest.param(path.stem, case, id=f"{path.stem} {case.it}") for path in FILES for case in read_cases(path)]
PIPES = sorted(path.stem for path in (ROOT / "pipes").glob("*.sql"))


@pytest.fixture(scope="session")
def runner(on: Engine) -> Iterator[CaseRunner]:
    runner = CaseRunner(lambda clock: on.shop("cases", clock, request_retention_days=3650))
    yield runner
    drop(runner.service)


@pytest.mark.parametrize(("pipe", "case"), CASES)
def test_a_pipe(runner: CaseRunner, pipe: str, case: Case) -> None:
    assert runner.run(pipe, case) == ""


@pytest.mark.parametrize("pipe", PIPES)
def test_a_pipe_has_cases(pipe: str) -> None:
    assert read_cases(ROOT / "tests" / "pipes" / f"{pipe}.yaml")


def test_cases_have_a_pipe() -> None:
    assert {path.stem for path in FILES} <= set(PIPES)


def test_the_names_of_the_cases_of_a_pipe_are_unique() -> None:
    for path in FILES:
        names = [case.it for case in read_cases(path)]
        assert len(set(names)) == len(names)


TEA_AND_MUG = [
    {"event_type": "view", "user_id": "ada", "item_id": "tea"},
    {"event_type": "view", "user_id": "ada", "item_id": "mug"},
]
WRONG = {
    "another row": Case("x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "mug"}, {"item_id": "pot"}]),
    "another order": Case("x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "tea"}, {"item_id": "mug"}]),
    "a missing row": Case(
        "x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"item_id": "tea"}, {"item_id": "mug"}]
    ),
    "an extra row": Case("x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "mug"}]),
    "any row": Case("x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[]),
    "no rows": Case("x", ask={"user_id": "ada"}, answer=[{"item_id": "tea"}]),
    "an empty row for none": Case("x", ask={"user_id": "ada"}, answer=[{}]),
    "a missing column": Case("x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"titel": ""}]),
    "a value of another type": Case("x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"title": None}]),
    "an error instead of rows": Case("x", ask={}, answer=[]),
    "another error": Case("x", ask={}, error="too_slow"),
    "rows instead of an error": Case("x", ask={"user_id": "ada"}, error="bad_parameters"),
    "another fallback": Case("x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{}], fallback="trending"),
    "a wrong row in any order": Case(
        "x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "mug"}, {"item_id": "pot"}], ordered=False
    ),
    "a column that an exact case does not list": Case(
        "x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"item_id": "tea"}], exact=True
    ),
    "an error with another text": Case("x", ask={}, error="bad_parameters", problem="item_id: missing"),
    "a rejected event": Case("x", [{"event_type": "view"}], ask={"user_id": "ada"}, answer=[]),
}


@pytest.mark.embedded  # compares rows, whichever engine returned them
@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_fails(runner: CaseRunner, case: Case) -> None:
    assert runner.run("recently_viewed", case)


RIGHT = {
    "any order": Case(
        "x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "tea"}, {"item_id": "mug"}], ordered=False
    ),
    "a part of the text of an error": Case("x", ask={"limit": 0}, error="bad_parameters", problem="user_id: missing"),
    "a timestamp relative to now": Case(
        "x",
        [TEA_AND_MUG[0] | {"timestamp": "-2h"}, TEA_AND_MUG[1] | {"timestamp": "-30s"}],
        now=datetime(2025, 6, 1, 12, tzinfo=UTC),
        ask={"user_id": "ada"},
        answer=[
            {"item_id": "mug", "viewed_at": "2025-06-01T11:59:30.000Z"},
            {"item_id": "tea", "viewed_at": "2025-06-01T10:00:00.000Z"},
        ],
    ),
}


@pytest.mark.embedded
@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT)
def test_a_right_answer_passes(runner: CaseRunner, case: Case) -> None:
    assert runner.run("recently_viewed", case) == ""


def test_cases_share_a_fixture(tmp_path: Path) -> None:
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "tea_shop.yaml").write_text(
        "items: [{item_id: tea}]\nevents: [{event_type: view, item_id: tea}]"
    )
    (tmp_path / "fixtures" / "views.yaml").write_text("[{event_type: view, item_id: mug}]")
    path = tmp_path / "x.yaml"
    path.write_text(
        "- {it: a, given: tea_shop, answer: []}\n"
        "- {it: b, given: {fixture: tea_shop, events: [{event_type: like, item_id: tea}]}, answer: []}\n"
        "- {it: c, given: views, answer: []}\n"
    )
    shared = Given([{"item_id": "tea"}], [{"event_type": "view", "item_id": "tea"}])
    assert [case.given for case in read_cases(path)] == [
        shared,
        Given(shared.items, [*shared.events, {"event_type": "like", "item_id": "tea"}]),
        Given(events=[{"event_type": "view", "item_id": "mug"}]),
    ]
    path.write_text("- {it: a, given: coffee_shop, answer: []}\n")
    with pytest.raises(Unusable, match=r"no fixture called 'coffee_shop' .* There are tea_shop, views"):
        read_cases(path)


def test_a_case_for_an_unknown_pipe_fails(runner: CaseRunner) -> None:
    assert "no_such_pipe" in runner.run("nope", Case("x", answer=[]))


def test_no_rows_of_the_previous_case_remain(runner: CaseRunner) -> None:
    parameters = {"user_id": "ada"}
    assert runner.run("recently_viewed", Case("x", TEA_AND_MUG[:1], ask=parameters, answer=[{"item_id": "tea"}])) == ""
    assert runner.run("recently_viewed", Case("x", ask=parameters, answer=[])) == ""
    assert runner.run("find_items", Case("x", answer=[])) == ""


@pytest.mark.parametrize(
    "text",
    [
        "- it: has no answer",
        "- {it: x, answer: [], asks: {}}",
        "- answer: []",
        "it: x",
        "- it: [",
        "- {it: 5, answer: []}",
        "- {it: x, answer: [], error: too_slow}",
        "- {it: x, answer: [], problem: limit}",
        "- {it: x, answer: [], tolerance: 2}",
        "- {it: x, answer: [], given: nowhere}",
        "- {it: x, answer: [], given: {fixture: ../x}}",
    ],
)
def test_an_invalid_case_file_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(Unusable, match=r"x\.yaml"):
        read_cases(path)
