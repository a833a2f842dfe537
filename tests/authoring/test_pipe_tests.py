"""Every case of tests/pipes/*.yaml holds, every pipe has cases, and a case that does not hold is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alsobought.authoring.pipe_tests import Bench, Case, Given, cases_of
from alsobought.errors import Unusable
from tests.support.engines import Engine, drop
from tests.support.project import ROOT

FILES = sorted((ROOT / "tests" / "pipes").glob("*.yaml"))
CASES = [pytest.param(path.stem, case, id=f"{path.stem} {case.it}") for path in FILES for case in cases_of(path)]
PIPES = sorted(path.stem for path in (ROOT / "pipes").glob("*.sql"))


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
    assert cases_of(ROOT / "tests" / "pipes" / f"{pipe}.yaml")


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
    "an order that nobody asked about": Case(
        "x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "mug"}, {"item_id": "pot"}], ordered=False
    ),
    "a column that an exact case does not name": Case(
        "x", TEA_AND_MUG[:1], ask={"user_id": "ada"}, answer=[{"item_id": "tea"}], exact=True
    ),
    "an error that says something else": Case("x", ask={}, error="bad_parameters", problem="item_id: missing"),
    "an event that is refused": Case("x", [{"event_type": "view"}], ask={"user_id": "ada"}, answer=[]),
}


@pytest.mark.embedded  # what is compared is the answer's rows, wherever they came from
@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_noticed(a_bench: Bench, case: Case) -> None:
    assert a_bench.run("recently_viewed", case)


RIGHT = {
    "any order": Case(
        "x", TEA_AND_MUG, ask={"user_id": "ada"}, answer=[{"item_id": "tea"}, {"item_id": "mug"}], ordered=False
    ),
    "a part of what an error says": Case("x", ask={"limit": 0}, error="bad_parameters", problem="user_id: missing"),
    "an event so long before now": Case(
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
def test_a_right_answer_is_taken(a_bench: Bench, case: Case) -> None:
    assert a_bench.run("recently_viewed", case) == ""


def test_what_cases_share_is_a_fixture(tmp_path: Path) -> None:
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
    assert [case.given for case in cases_of(path)] == [
        shared,
        Given(shared.items, [*shared.events, {"event_type": "like", "item_id": "tea"}]),
        Given(events=[{"event_type": "view", "item_id": "mug"}]),
    ]
    path.write_text("- {it: a, given: coffee_shop, answer: []}\n")
    with pytest.raises(Unusable, match=r"no fixture called 'coffee_shop' .* There are tea_shop, views"):
        cases_of(path)


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
        "- {it: x, answer: [], error: too_slow}",
        "- {it: x, answer: [], problem: limit}",
        "- {it: x, answer: [], tolerance: 2}",
        "- {it: x, answer: [], given: nowhere}",
        "- {it: x, answer: [], given: {fixture: ../x}}",
    ],
)
def test_a_file_that_is_not_made_of_cases_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(Unusable, match=r"x\.yaml"):
        cases_of(path)
