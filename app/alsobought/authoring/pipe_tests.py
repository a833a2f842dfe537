"""Cases of a pipe, as data: tests/pipes/<name>.yaml is a list of

    - it: ignores baskets that were never paid for
      given: [{event_type: add_to_cart, order_id: o1, item_id: tea, timestamp: -2h}]
      ask: {item_id: tea}
      answer: []

`given` is a list of events, or {items: […], events: […]}; an event without user_id is someone's. What several cases need stands
in tests/pipes/fixtures/tea_shop.yaml in the same form: `given: tea_shop`, or {fixture: tea_shop, events: […]} for that and more.
`now` is the clock, and -30s, -5m, -2h, -3d or -1w as a timestamp is so long before it.

`answer` lists the rows in order, each with the columns that matter; `ordered: false` takes any order, `exact: true` wants every
column named, and `tolerance: 1e-3` is how far fractions may be off. `error` is the code of a refused request and `problem` a part
of what it says. A case speaks of the pipe's own rows: those that fill its list count with `filled: true`, and where `fallback`
names the pipe that must have answered in its place. Every case goes through the HTTP endpoints, on a warehouse in
memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from alsobought.authoring.row_diff import TOLERANCE, difference
from alsobought.errors import Unusable
from alsobought.events import in_utc
from alsobought.pipes.library import SOURCE
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.web.factory import create_app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE = re.compile(r"-(\d{1,6})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

Rows = list[dict[str, Any]]


class Given(msgspec.Struct, forbid_unknown_fields=True):
    items: Rows = []
    events: Rows = []
    fixture: str = ""


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """One sentence and how to prove it."""

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


@dataclass(frozen=True)
class Outcome:
    """What became of a case: `problem` is empty if it holds. `rows` are those that came, with all columns; None for an error.

    `differs`: the rows are what is not as expected.
    """

    problem: str
    seconds: float = 0.0
    rows: Rows | None = None
    differs: bool = False


def cases_of(path: Path) -> list[Case]:
    """The cases of a file, with the fixtures they name. Raises Unusable that says what cannot be read."""
    cases: list[Case] = _read(path, list[Case], "See the other files for the shape of a case")
    fixtures: dict[str, Given] = {}
    for case in cases:
        if case.answer is None and not case.error:
            raise Unusable(f"{path.name}: {case.it!r} says neither answer nor error")
        if case.answer is not None and case.error:
            raise Unusable(f"{path.name}: {case.it!r} says both answer and error", "A refused request has no rows")
        if case.problem and not case.error:
            raise Unusable(f"{path.name}: {case.it!r} says problem without error", "Write error: bad_parameters, too")
        given = _given(case)
        if given.fixture:
            if given.fixture not in fixtures:
                fixtures[given.fixture] = _fixture(path, given.fixture)
            shared = fixtures[given.fixture]
            case.given = Given(shared.items + given.items, shared.events + given.events)
    return cases


def _read(path: Path, kind: Any, hint: str) -> Any:
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=kind)
    except (msgspec.MsgspecError, OSError, ValueError) as error:
        raise Unusable(f"{path.name} cannot be read: {error}", hint) from error


def _fixture(path: Path, name: str) -> Given:
    folder = path.parent / "fixtures"
    known = sorted(found.stem for found in folder.glob("*.yaml"))
    if name not in known:
        raise Unusable(
            f"{path.name}: no fixture called {name!r} in {folder}", f"There are {', '.join(known) or 'none'}"
        )
    found = _read(folder / f"{name}.yaml", Given | Rows, "It is a list of events, or {items: […], events: […]}")
    given = found if isinstance(found, Given) else Given(events=found)
    if given.fixture:
        raise Unusable(f"fixtures/{name}.yaml names another fixture", "A fixture holds items and events only")
    return given


def _given(case: Case) -> Given:
    if isinstance(case.given, str):
        return Given(fixture=case.given)
    return case.given if isinstance(case.given, Given) else Given(events=case.given)


class Bench:
    """A shop that is emptied between cases; `opened` gets the clock that the cases set."""

    def __init__(self, opened: Callable[[Callable[[], datetime]], Service]) -> None:
        self.now = NOON
        self.shop = opened(lambda: self.now)

    def run(self, pipe: str, case: Case) -> str:
        """An empty string, or what is different."""
        return self.outcome(pipe, case).problem

    def outcome(self, pipe: str, case: Case) -> Outcome:
        """The same with the rows that came, and how long it took."""
        started = time.monotonic()
        found = self._outcome(pipe, case)
        return replace(found, seconds=time.monotonic() - started)

    def _outcome(self, pipe: str, case: Case) -> Outcome:
        empty(self.shop)
        self.now = in_utc(case.now)
        client = create_app(self.shop).test_client()
        given = _given(case)
        events = [{"user_id": "someone"} | _dated(event, self.now) for event in given.events]
        for path, objects in (("/items", given.items), ("/events", events)):
            if objects and (problem := _post(client, path, objects)):
                return Outcome(problem)
        got = client.post(f"/pipes/{pipe}", data=msgspec.json.encode(case.ask, enc_hook=str))
        body = msgspec.json.decode(got.data)
        if got.status_code == 200 and not case.filled and not case.fallback and self.shop.library[pipe].tells_source:
            body["data"] = [row for row in body["data"] if row[SOURCE] == pipe]
        return _compare(case, got.status_code, body)


def _dated(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    """`timestamp: -2h` is two hours before now."""
    if found := BEFORE.fullmatch(str(event.get("timestamp"))):
        return event | {"timestamp": now - timedelta(**{UNITS[found[2]]: int(found[1])})}
    return event


def empty(shop: Service) -> None:
    """Takes every row and every kept answer out of a shop: a second cheaper than a new one.

    A table that was emptied by a change of stored rows still remembers its batches: then all are truncated.
    """
    if shop.request_log:
        shop.request_log.flush()
    warehouse = shop.warehouse
    rewritten = warehouse.trusted_rows(f"select count() from {warehouse.database}.rewrites").data[0][0]
    sql = (
        "select name from system.tables where database = {database:String} and engine like '%MergeTree'"
        f" and name != 'migrations' and {1 if rewritten else 'total_rows > 0'}"
    )
    for (table,) in warehouse.trusted_rows(sql, {"database": warehouse.database}).data:
        warehouse.command(f"truncate table {warehouse.database}.{table}")
    reload_dictionaries(warehouse)
    shop.cache.clear()


@contextmanager
def bench(settings: Settings) -> Iterator[Bench]:
    """A bench over the pipes of these settings, on a warehouse in memory with a name of its own."""
    settings = msgspec.structs.replace(
        settings, dsn="chdb://:memory:", database="cases", batch_seconds=0.001, record_requests=False
    )
    opened = Bench(lambda clock: open_service(settings, clock))
    try:
        yield opened
    finally:
        opened.shop.close()


class Response(Protocol):
    status_code: int

    @property
    def data(self) -> bytes: ...


class Client(Protocol):
    """What the cases need of an HTTP client; Flask's test client is one."""

    def post(self, path: str, *, data: bytes) -> Response: ...


def _post(client: Client, path: str, objects: list[dict[str, Any]]) -> str:
    got = client.post(f"{path}?wait=true", data=msgspec.json.encode(objects, enc_hook=str))
    body = msgspec.json.decode(got.data)
    if got.status_code == 200 and not body["rejected"]:
        return ""
    return f"given: {body.get('rejected') or body['error']['message']}"


def _compare(case: Case, status: int, body: dict[str, Any]) -> Outcome:
    if status != 200:
        return Outcome(_compare_error(case, body["error"]))
    rows: Rows = body["data"]
    if case.error:
        return Outcome(f"expected the error {case.error}, got {len(rows)} rows", rows=rows)
    if case.fallback and body["pipe"]["fallback"] != case.fallback:
        return Outcome(
            f"expected {case.fallback} to answer, got {body['pipe']['fallback'] or 'the pipe itself'}", rows=rows
        )
    wanted = case.answer or []
    found = difference(wanted, rows, ordered=case.ordered, exact=case.exact, tolerance=case.tolerance)
    return Outcome(found, rows=rows, differs=bool(found))


def _compare_error(case: Case, error: dict[str, Any]) -> str:
    said = " ".join([error["message"], error["hint"], *(f"{d['param']}: {d['problem']}" for d in error["details"])])
    if error["code"] != case.error:
        return f"error {error['code']}: {error['message']}"
    return "" if case.problem in said else f"the error says nothing of {case.problem!r}: {error['message']}"
