"""Every case of tests/pipes/*.yaml holds, every pipe has cases, and a case that does not hold is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cases import Bench, Case, cases_of
from app.errors import Unusable
from app.settings import HOME
from tests.engines import Engine, drop

FILES = sorted((HOME / "tests" / "pipes").glob("*.yaml"))
CASES = [pytest.param(path.stem, case, id=f"{path.stem} {case.it}") for path in FILES for case in cases_of(path)]
PIPES = sorted(path.stem for path in (HOME / "pipes").glob("*.sql"))


@pytest.fixture(scope="session")
def a_bench(on: Engine) -> Iterator[Bench]:
    opened = Bench(lambda clock: on.shop("cases", clock))
    yield opened
    drop(opened.shop)


@pytest.mark.parametrize(("pipe", "case"), CASES)
def test_a_pipe(a_bench: Bench, pipe: str, case: Case) -> None:
    assert a_bench.run(pipe, case) == ""


@pytest.mark.parametrize("pipe", PIPES)
def test_a_pipe_has_cases(pipe: str) -> None:
    assert cases_of(HOME / "tests" / "pipes" / f"{pipe}.yaml")


def test_cases_have_a_pipe() -> None:
    assert {path.stem for path in FILES} <= set(PIPES)


def test_each_case_of_a_pipe_has_its_own_name() -> None:
    for path in FILES:
        names = [case.it for case in cases_of(path)]
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
    "any row at all": Case("x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[]),
    "no rows": Case("x", ask={"user_id": "ada"}, answer=[{"item_id": "tea"}]),
    "an empty row for none": Case("x", ask={"user_id": "ada"}, answer=[{}]),
    "a column that is not there": Case("x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"titel": ""}]),
    "a value of another type": Case("x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"title": None}]),
    "an error where rows are due": Case("x", ask={}, answer=[]),
    "another error": Case("x", ask={}, error="too_slow"),
    "rows where an error is due": Case("x", ask={"user_id": "ada"}, error="bad_parameters"),
    "another fallback": Case("x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{}], fallback="trending"),
    "an event that is refused": Case("x", [{"event_type": "view"}], ask={"user_id": "ada"}, answer=[]),
}


@pytest.mark.embedded  # what is compared is the answer's rows, wherever they came from
@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_noticed(a_bench: Bench, case: Case) -> None:
    assert a_bench.run("recently_viewed", case)


def test_a_case_for_a_pipe_that_is_not_there_is_noticed(a_bench: Bench) -> None:
    assert "no_such_pipe" in a_bench.run("nope", Case("x", answer=[]))


def test_nothing_is_left_of_the_case_before(a_bench: Bench) -> None:
    asks = {"user_id": "ada"}
    assert a_bench.run("recently_viewed", Case("x", TEA_AND_MUG[:1], ask=asks, answer=[{"item_id": "tea"}])) == ""
    assert a_bench.run("recently_viewed", Case("x", ask=asks, answer=[])) == ""
    assert a_bench.run("find_items", Case("x", answer=[])) == ""


@pytest.mark.parametrize(
    "text",
    [
        "- it: says nothing",
        "- {it: x, answer: [], asks: {}}",
        "- answer: []",
        "it: x",
        "- it: [",
        "- {it: 5, answer: []}",
    ],
)
def test_a_file_that_is_not_made_of_cases_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(Unusable, match=r"x\.yaml"):
        cases_of(path)
