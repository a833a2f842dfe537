"""The cases of a pipe, read from tests/pipes/<name>.yaml, a list of

    - it: ignores unpaid baskets
      given: [{event_type: add_to_cart, order_id: o1, item_id: tea, timestamp: -2h}]
      ask: {item_id: tea}
      answer: []

`given` is a list of events, or {items: […], users: […], events: […]}; an event without user_id gets the user `someone`. Rows
that several cases share are a fixture in tests/pipes/fixtures/tea_shop.yaml, in the same form: `given: tea_shop`, or
{fixture: tea_shop, events: […]} to add more. `now` sets the clock; a timestamp of -30s, -5m, -2h, -3d or -1w is
relative to it.

`given` may have lists that were answered before: `recommendations: {home: {pipe: popular, at: -2h, items: [tea]}}`; an event with
`recommendation_id: home` gets the id of that list. With `items` the list is recorded in the table `requests`, too; so is a list
with `shadow_of`, the name of the list that was shown instead.

`answer` lists the expected rows in order, each with the columns that matter. `ordered: false` allows any order,
`exact: true` requires every column, and `tolerance: 1e-3` is the relative tolerance of fractions. `error` is the
expected error code, and `problem` a part of its text. Only the pipe's own rows are compared; `filled: true` includes
those of its fallbacks, and `fallback` names the pipe that must have answered instead.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from alsobought.authoring.row_diff import TOLERANCE
from alsobought.errors import Unusable
from alsobought.project_files import read_file, reason

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Rows = list[dict[str, Any]]


class Recommendation(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A list that was answered `at` a time before the clock. It is recorded if it has `items` or is a shadow."""

    pipe: str
    version: str = ""
    surface: str = ""
    experiment: str = ""
    variant: str = ""
    at: Annotated[str, msgspec.Meta(pattern=r"^-\d{1,6}[smhdw]$")] = "-1h"
    items: list[str] = []
    propensities: list[float] = []
    sources: list[str] = []
    fallback: str = ""
    shadow_of: str = ""
    status: int = 200
    seconds: float = 0.0


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """What is stored before the request. `recommendations` are lists by a name that events have as their recommendation_id."""

    items: Rows = []
    events: Rows = []
    fixture: str = ""
    users: Rows = []
    recommendations: dict[str, Recommendation] = {}


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """One sentence, and a request that proves it."""

    it: str
    given: Given | Rows | str = []
    now: datetime = NOON
    ask: dict[str, Any] = {}
    answer: Rows | None = None
    error: str = ""
    fallback: str = ""
    filled: bool = False
    ordered: bool = True
    exact: bool = False
    tolerance: Annotated[float, msgspec.Meta(ge=0, le=1)] = TOLERANCE
    problem: str = ""


def read_cases(path: Path) -> list[Case]:
    """The cases of a file, with their fixtures resolved. Raises Unusable for an invalid file."""
    cases: list[Case] = _read(path, list[Case], "See the other files for the form of a case")
    fixtures: dict[str, Given] = {}
    for case in cases:
        if case.answer is None and not case.error:
            raise Unusable(f"{path.name}: {case.it!r} has neither answer nor error")
        if case.answer is not None and case.error:
            raise Unusable(
                f"{path.name}: {case.it!r} has both answer and error", "Remove one: a rejected request has no rows"
            )
        if case.problem and not case.error:
            raise Unusable(f"{path.name}: {case.it!r} has problem without error", "Add error: bad_parameters")
        given = given_of(case)
        if given.fixture:
            if given.fixture not in fixtures:
                fixtures[given.fixture] = _read_fixture(path, given.fixture)
            shared = fixtures[given.fixture]
            case.given = Given(
                shared.items + given.items,
                shared.events + given.events,
                users=shared.users + given.users,
                recommendations=shared.recommendations | given.recommendations,
            )
    return cases


def given_of(case: Case) -> Given:
    """The `given` of a case in its full form."""
    if isinstance(case.given, str):
        return Given(fixture=case.given)
    return case.given if isinstance(case.given, Given) else Given(events=case.given)


def _read_fixture(path: Path, name: str) -> Given:
    folder = path.parent / "fixtures"
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in names:
        raise Unusable(
            f"{path.name}: no fixture called {name!r} in {folder}", f"There are {', '.join(names) or 'none'}"
        )
    content = _read(
        folder / f"{name}.yaml", Given | Rows, "It is a list of events, or {items: […], users: […], events: […]}"
    )
    given = content if isinstance(content, Given) else Given(events=content)
    if given.fixture:
        raise Unusable(f"fixtures/{name}.yaml names another fixture", "A fixture contains items, users and events only")
    return given


def _read(path: Path, target: Any, hint: str) -> Any:
    try:
        return msgspec.yaml.decode(read_file(path), type=target)
    except OSError as error:
        raise Unusable(f"cannot read {path.name}: {reason(error)}", "Put a YAML file in its place") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unusable(f"cannot read {path.name}: {error}", hint) from error
