"""Cases of a pipe, as data: tests/pipes/<name>.yaml is a list of

    - it: ignores baskets that were never paid for
      given: [{event_type: add_to_cart, order_id: o1, item_id: tea}]
      ask: {item_id: tea}
      answer: []

`given` is a list of events, or {items: […], events: […]}; an event without user_id is someone's. `now` is the clock.
`answer` lists the rows in order, each with the columns that matter; `error` is the code of a refused request, and
`fallback` the pipe that must have answered. Every case goes through the HTTP endpoints, on a warehouse in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from flask.testing import FlaskClient

from app.errors import Unusable
from app.events import in_utc
from app.settings import Settings
from app.shop import Shop, open_shop
from app.web.factory import create_app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Given(msgspec.Struct, forbid_unknown_fields=True):
    items: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []


class Case(msgspec.Struct, forbid_unknown_fields=True):
    """One sentence and how to prove it."""

    it: str
    given: Given | list[dict[str, Any]] = []
    now: datetime = NOON
    ask: dict[str, Any] = {}
    answer: list[dict[str, Any]] | None = None
    error: str = ""
    fallback: str = ""


def cases_of(path: Path) -> list[Case]:
    """The cases of a file. Raises Unusable that says what cannot be read."""
    try:
        cases = msgspec.yaml.decode(path.read_bytes(), type=list[Case])
    except (msgspec.MsgspecError, OSError, ValueError) as error:
        raise Unusable(f"{path.name} cannot be read: {error}", "See the other files for the shape of a case") from error
    for case in cases:
        if case.answer is None and not case.error:
            raise Unusable(f"{path.name}: {case.it!r} says neither answer nor error")
    return cases


class Bench:
    """A shop that is emptied between cases; `opened` gets the clock that the cases set."""

    def __init__(self, opened: Callable[[Callable[[], datetime]], Shop]) -> None:
        self.now = NOON
        self.shop = opened(lambda: self.now)

    def run(self, pipe: str, case: Case) -> str:
        """An empty string, or what is different."""
        empty(self.shop)
        self.now = in_utc(case.now)
        client = create_app(self.shop).test_client()
        given = case.given if isinstance(case.given, Given) else Given(events=case.given)
        for path, objects in (("/items", given.items), ("/events", [{"user_id": "someone"} | e for e in given.events])):
            if objects and (problem := _post(client, path, objects)):
                return problem
        got = client.post(f"/pipes/{pipe}", data=msgspec.json.encode(case.ask))
        return _compare(case, got.status_code, msgspec.json.decode(got.data))


def empty(shop: Shop) -> None:
    """Takes every row and every kept answer out of a shop: a second cheaper than a new one.

    A table that was emptied by a change of stored rows still remembers its batches: then all are truncated.
    """
    if shop.recorder:
        shop.recorder.flush()
    warehouse = shop.warehouse
    rewritten = warehouse.trusted_rows(f"select count() from {warehouse.database}.rewrites").data[0][0]
    sql = (
        "select name from system.tables where database = {database:String} and engine like '%MergeTree'"
        f" and name != 'migrations' and {1 if rewritten else 'total_rows > 0'}"
    )
    for (table,) in warehouse.trusted_rows(sql, {"database": warehouse.database}).data:
        warehouse.command(f"truncate table {warehouse.database}.{table}")
    warehouse.command(f"system reload dictionary {warehouse.database}.catalogue")
    shop.kept.clear()


@contextmanager
def bench(settings: Settings) -> Iterator[Bench]:
    """A bench over the pipes of these settings, on a warehouse in memory with a name of its own."""
    settings = msgspec.structs.replace(
        settings, dsn="chdb://:memory:", database="cases", batch_seconds=0.001, record_requests=False
    )
    opened = Bench(lambda clock: open_shop(settings, clock))
    try:
        yield opened
    finally:
        opened.shop.close()


def _post(client: FlaskClient, path: str, objects: list[dict[str, Any]]) -> str:
    got = client.post(f"{path}?wait=true", data=msgspec.json.encode(objects, enc_hook=str))
    body = msgspec.json.decode(got.data)
    if got.status_code == 200 and not body["rejected"]:
        return ""
    return f"given: {body.get('rejected') or body['error']['message']}"


def _compare(case: Case, status: int, body: dict[str, Any]) -> str:
    if status != 200:
        code = body["error"]["code"]
        return "" if code == case.error else f"error {code}: {body['error']['message']}"
    if case.error:
        return f"expected the error {case.error}, got {body['rows']} rows"
    if case.fallback and body["pipe"]["fallback"] != case.fallback:
        return f"expected {case.fallback} to answer, got {body['pipe']['fallback']}"
    wanted = case.answer or []
    rows = [
        {name: row.get(name, "no such column") for name in want}
        for want, row in zip(wanted, body["data"], strict=False)
    ]
    rows += body["data"][len(wanted) :]
    if len(rows) == len(wanted) and all(map(_same_row, wanted, rows)):
        return ""
    return f"expected {wanted}, got {rows}"


def _same_row(want: dict[str, Any], got: dict[str, Any]) -> bool:
    return all(_same(value, got[name]) for name, value in want.items())


def _same(want: Any, got: Any) -> bool:
    if isinstance(want, float) and isinstance(got, (int, float)):
        return math.isclose(want, got, rel_tol=1e-6, abs_tol=1e-9)
    return bool(want == got)
