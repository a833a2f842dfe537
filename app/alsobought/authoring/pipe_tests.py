"""Run the cases of a pipe through the HTTP endpoints, on a warehouse in memory that is emptied between cases."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from alsobought.authoring.case_files import NOON, Case, Recommendation, Rows, given_of
from alsobought.authoring.row_diff import first_difference
from alsobought.events import in_utc
from alsobought.pipes.library import SOURCE
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service, open_service
from alsobought.serving.request_log import RequestRow
from alsobought.settings import Settings
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.storage.topology import node_settings
from alsobought.web.factory import create_app

RELATIVE_TIME = re.compile(r"-(\d{1,6})([smhdw])")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Outcome:
    """The result of a case. `problem` is empty if it passes.

    `rows` are the actual rows with all columns, None after an error. `rows_differ`: the problem is a difference of rows.
    """

    problem: str
    seconds: float = 0.0
    rows: Rows | None = None
    rows_differ: bool = False


class CaseRunner:
    """Runs cases on one service. `open_with_clock` opens it with the clock that the cases set."""

    def __init__(self, open_with_clock: Callable[[Callable[[], datetime]], Service]) -> None:
        self.now = NOON
        self.service = open_with_clock(lambda: self.now)

    def run(self, pipe: str, case: Case) -> str:
        """Empty if the case passes, or its problem."""
        return self.outcome(pipe, case).problem

    def outcome(self, pipe: str, case: Case) -> Outcome:
        """The problem together with the actual rows and the seconds."""
        started = time.monotonic()
        outcome = self._run(pipe, case)
        return replace(outcome, seconds=time.monotonic() - started)

    def _run(self, pipe: str, case: Case) -> Outcome:
        clear_service(self.service)
        self.now = in_utc(case.now)
        client = create_app(self.service).test_client()
        given = given_of(case)
        ids = {name: self._mint(one) for name, one in given.recommendations.items()}
        self.service.recommendations.flush()
        events = [
            {"user_id": "someone"} | _with_recommendation(_with_absolute_time(event, self.now), ids)
            for event in given.events
        ]
        for path, objects in (("/items", given.items), ("/users", given.users), ("/events", events)):
            if objects and (problem := _post(client, path, objects)):
                return Outcome(problem)
        for name, one in given.recommendations.items():  # after the writer has set how long they stay
            self._record(name, one, ids[name])
        reload_dictionaries(self.service.warehouse, ["item_demand"])
        response = client.post(f"/pipes/{pipe}", data=msgspec.json.encode(case.ask, enc_hook=str))
        body = msgspec.json.decode(response.data)
        own_rows_only = response.status_code == 200 and not case.filled and not case.fallback
        if own_rows_only and self.service.library[pipe].adds_source:
            body["data"] = [row for row in body["data"] if row[SOURCE] == pipe]
        return _compare(case, response.status_code, body)

    def _time_of(self, one: Recommendation) -> datetime:
        return in_utc(_absolute_time(one.at, self.now))

    def _mint(self, one: Recommendation) -> str:
        """The id of a list as the service would have answered it."""
        placement = Placement(one.pipe, one.version, one.surface, one.experiment, one.variant)
        return self.service.recommendations.mint(placement, self._time_of(one))

    def _record(self, name: str, one: Recommendation, recommendation_id: str) -> None:
        """The row of a list in `requests`; its request_id is the name. Nobody saw a shadow, so it has no recommendation_id."""
        if not (one.items or one.shadow_of):
            return
        row = RequestRow(
            time=self._time_of(one),
            request_id=name,
            recommendation_id="" if one.shadow_of else recommendation_id,
            pipe=one.pipe,
            version=one.version,
            surface=one.surface,
            experiment=one.experiment,
            variant=one.variant,
            unit="",
            shadow_of=one.shadow_of,
            fallback=one.fallback,
            parameters="",
            item_ids=one.items,
            propensities=one.propensities,
            scores=[],
            sources=one.sources,
            rows=len(one.items),
            status=one.status,
            error="",
            seconds=one.seconds,
            rows_read=0,
            bytes_read=0,
            cached=False,
        )
        self.service.warehouse.insert("requests", msgspec.json.encode(row))


def _with_absolute_time(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    return event | {"timestamp": _absolute_time(event["timestamp"], now)} if "timestamp" in event else event


def _absolute_time(time_: Any, now: datetime) -> Any:
    """The time two hours before now for `-2h`; another value as it is."""
    if match := RELATIVE_TIME.fullmatch(str(time_)):
        return now - timedelta(**{UNITS[match[2]]: int(match[1])})
    return time_


def _with_recommendation(event: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """Replaces the name of a list by its id. Another text stays: an id that nobody signed."""
    name = event.get("recommendation_id")
    return event | {"recommendation_id": ids[name]} if name in ids else event


def clear_service(service: Service) -> None:
    """Deletes all rows and cached answers of a service, which takes a second less than opening a new one.

    A table that a mutation emptied still remembers its deduplication tokens: after a mutation, empty tables are truncated, too.
    """
    if service.request_log:
        service.request_log.flush()
    service.recommendations.forget()
    service.reject_log.flush()
    service.drop_log.flush()
    warehouse = service.warehouse
    mutations = warehouse.trusted_rows(f"select count() from {warehouse.database}.rewrites").data[0][0]
    rows = "true" if mutations else "(total_rows > 0 or total_rows is null)"
    sql = (
        "select name, engine from system.tables where database = {database:String}"
        f" and match(engine, 'MergeTree|RocksDB') and name != 'migrations' and {rows}"
    )
    for name, engine in warehouse.trusted_rows(sql, {"database": warehouse.database}).data:
        table = f"{warehouse.database}.{name}"
        by_key = engine == "EmbeddedRocksDB"  # to delete a few rows is quicker there than to make the table anew
        warehouse.command(f"alter table {table} delete where true" if by_key else f"truncate table {table}")
    reload_dictionaries(warehouse)
    service.cache.clear()


@contextmanager
def case_runner(settings: Settings) -> Iterator[CaseRunner]:
    """A runner for the pipes of these settings, on a warehouse in memory with a database name of its own."""
    settings = msgspec.structs.replace(
        node_settings(settings, "chdb://:memory:"),
        database="cases",
        batch_seconds=0.001,
        record_requests=False,
        request_retention_days=3650,  # the clock of a case may be years behind
    )
    runner = CaseRunner(lambda clock: open_service(settings, clock))
    try:
        yield runner
    finally:
        runner.service.close()


class Response(Protocol):
    status_code: int

    @property
    def data(self) -> bytes: ...


class Client(Protocol):
    """The part of an HTTP client that the cases use; Flask's test client has it."""

    def post(self, path: str, *, data: bytes) -> Response: ...


def _post(client: Client, path: str, objects: list[dict[str, Any]]) -> str:
    response = client.post(f"{path}?wait=true", data=msgspec.json.encode(objects, enc_hook=str))
    body = msgspec.json.decode(response.data)
    if response.status_code == 200 and not body["rejected"]:
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
    problem = first_difference(
        case.answer or [], rows, ordered=case.ordered, exact=case.exact, tolerance=case.tolerance
    )
    return Outcome(problem, rows=rows, rows_differ=bool(problem))


def _compare_error(case: Case, error: dict[str, Any]) -> str:
    details = (f"{detail['param']}: {detail['problem']}" for detail in error["details"])
    text = " ".join([error["message"], error["hint"], *details])
    if error["code"] != case.error:
        return f"error {error['code']}: {error['message']}"
    return "" if case.problem in text else f"the error does not contain {case.problem!r}: {error['message']}"
