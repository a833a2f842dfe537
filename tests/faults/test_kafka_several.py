"""Several ingesters and several writers: one is active at a time, and one that was delayed stores nothing twice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.writer.fencing import claim
from alsobought.writer.submission import Submission
from tests.faults.mixed import START, mixed
from tests.faults.rig import THOROUGH, Ingester, Rig
from tests.support.engines import migrate
from tests.support.fold import StoredEvent, fold, tables
from tests.support.project import ROOT

MakeRig = Callable[..., Rig]
EVENTS = 24 if THOROUGH else 8
EVENTS_OF_USERS = 40 if THOROUGH else 18


def _active(rig: Rig) -> Ingester | None:
    """The ingester that holds the writer lease."""
    holder = rig.query("select holder from {db}.writers order by epoch desc limit 1")
    active = [
        ingester for ingester in rig.ingesters if ingester.running and holder.endswith(f":{ingester.process.pid}")
    ]
    return active[0] if active else None


def _wait_for_another(rig: Rig, than: Ingester) -> float:
    """Wait until another is active; returns the seconds."""
    return rig.wait(lambda: _active(rig) not in (None, than), 30)


@pytest.mark.parametrize(
    "spread", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["by user", "wrong key"]
)
def test_three_ingesters_of_which_one_is_killed_one_is_stopped_and_one_is_added(
    make_rig: MakeRig, server: str, spread: bool
) -> None:
    rig = make_rig(server)
    rig.stream = mixed(41, ids=spread, repeated=0.01, invalid=0.01)
    for _ in range(3):
        rig.ingester()
    with rig.sending(200, spread=spread):
        rig.wait(lambda: rig.consumed() > 500)
        first = _active(rig)
        assert first
        first.kill()
        after_kill = _wait_for_another(rig, first)
        second = _active(rig)
        assert second
        assert second.stop() == 0
        _wait_for_another(rig, second)
        rig.ingester()
        rig.wait_for_more(500)
    users = "the same users on all partitions" if spread else "three ingesters, one killed, one stopped, one added"
    rig.finish(users, 3, after_kill)


@pytest.mark.thorough
@pytest.mark.parametrize("nth", range(5 if THOROUGH else 1))
def test_an_ingester_suspended_while_another_took_over_stores_nothing_twice(
    make_rig: MakeRig, server: str, nth: int
) -> None:
    rig = make_rig(server)
    rig.stream = mixed(42 + nth, ids=False, invalid=0.01)
    for _ in range(2):
        rig.ingester()
    with rig.sending(200):
        rig.wait(lambda: rig.consumed() > 500 * (nth + 1))
        suspended = _active(rig)
        assert suspended
        suspended.suspend()
        seconds = _wait_for_another(rig, suspended)
        rig.wait_for_more(500)
        suspended.resume()
        rig.wait_for_more(500)
    rig.finish("an ingester suspended for longer than its session, then resumed", 1, seconds)


@pytest.mark.thorough
def test_a_second_ingester_on_a_folder_is_an_error_and_the_first_continues(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.send(500)
    first = rig.ingester()
    rig.wait(lambda: rig.consumed() == 500)
    second = rig.ingester()
    assert second.process.wait(30) != 0
    assert f"is in use by process {first.process.pid}" in second.output
    assert "Traceback" not in second.output
    rig.send(500)
    rig.finish("a second ingester on one folder: refused")


# Two writers in this process


@pytest.fixture
def make_services(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[Service]]]:
    monkeypatch.setattr("alsobought.writer.fencing.LEASE_SECONDS", 0.1)  # shorter, for the test
    with ExitStack() as stack:

        def make(name: str) -> list[Service]:
            settings = Settings(dsn=server, database=name, batch_seconds=0.001, record_requests=False)
            migrate(settings)
            made = [open_service(settings), open_service(settings)]
            for service in made:
                stack.callback(service.close)
            return made

        yield make


def _event(number: int) -> Event:
    return Event(
        event_id=f"e{number}",
        event_type="purchase" if number % 3 else "view",
        user_id=f"u{number % 5}",
        item_id=f"i{number % 11}",
        order_id=f"o{number % 17}",
        session_id=f"s{number % 7}",
        category="Garden",
        timestamp=START,
    )


def _submit(service: Service, events: list[Event], tries: int = 50) -> None:
    """Retry like a client after an error, until it is stored."""
    for _ in range(tries):
        try:
            service.writer.submit(Submission(events)).result()
            return
        except NotStored:
            time.sleep(random.uniform(0, 0.5))
    raise AssertionError("never stored")


def _assert_correct(service: Service, count: int) -> None:
    rows = service.warehouse.trusted_rows(f"select * from {service.settings.database}.events order by seq").dicts()
    assert sorted(row["event_id"] for row in rows) == sorted(f"e{number}" for number in range(count))
    happened = [_happened(row) for row in rows]
    actual, expected = tables(service.warehouse), fold(happened)
    assert [table for table in expected if actual[table] != expected[table]] == []
    assert {table: wrong for table, wrong in wrong_rows(service.warehouse, ROOT / "sql" / "checks") if wrong} == {}


def _happened(row: dict[str, Any]) -> StoredEvent:
    fields = {name: row[name] for name in StoredEvent.__dataclass_fields__}
    at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
    return StoredEvent(**{**fields, "timestamp": at, "price": Decimal(str(row["price"]))})


@pytest.mark.thorough
def test_two_alternating_writers_store_everything_once(make_services: Callable[[str], list[Service]]) -> None:
    both = make_services("turns")
    for number in range(EVENTS):
        _submit(both[number % 2], [_event(number)])
    _assert_correct(both[0], EVENTS)


@pytest.mark.thorough
def test_two_concurrent_writers_store_everything_once(make_services: Callable[[str], list[Service]]) -> None:
    both = make_services("at_once")

    def store(which: int) -> None:
        for number in range(which, EVENTS, 2):
            _submit(both[which], [_event(number)])

    with ThreadPoolExecutor() as pool:
        list(pool.map(store, range(2)))
    _assert_correct(both[1], EVENTS)


def test_a_claim_of_the_lease_waits_for_an_insert_in_flight(make_services: Callable[[str], list[Service]]) -> None:
    service, other = make_services("waits")
    _submit(service, [_event(0)])
    sql = f"insert into {service.settings.database}.events select * from {service.settings.database}.events where sleep(2) != 0"
    slow = threading.Thread(target=lambda: service.warehouse.another().command(sql))
    slow.start()
    processes = "select count() from system.processes where query like 'insert into waits.events select%'"
    while not other.warehouse.trusted_rows(processes).data[0][0]:
        time.sleep(0.01)
    claim(other.warehouse, 0)
    assert not other.warehouse.trusted_rows(processes).data[0][0]
    slow.join()
    _assert_correct(service, 1)


@pytest.mark.thorough
def test_a_writer_delayed_during_recovery_stores_nothing_twice(
    make_services: Callable[[str], list[Service]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It resumes when another has stored more batches than the deduplication window, here two, not a thousand."""
    suspended, other = make_services("slept")
    for table in ("events", "co_baskets", "user_items", "item_hours"):
        suspended.warehouse.command(f"alter table slept.{table} modify setting non_replicated_deduplication_window = 2")
    _submit(suspended, [_event(0)])
    insert_select = suspended.warehouse.insert_select

    def delayed(*args: Any) -> None:
        for number in range(1, 7):
            _submit(other, [_event(number)])
        insert_select(*args)

    suspended.writers[0].lease.dirty = True
    with monkeypatch.context() as delaying:
        delaying.setattr(suspended.warehouse, "insert_select", delayed)
        suspended.writer.submit(Submission([_event(7)])).result()
    _assert_correct(other, 8)


@pytest.mark.thorough
def test_users_merged_or_erased_by_one_process_are_so_in_the_others(
    make_services: Callable[[str], list[Service]],
) -> None:
    """Also by a process that only follows, which starts a writer for it, and while another stores events."""
    first, second = make_services("people")
    follower = open_service(first.settings, writes=False)
    try:
        for number in range(10):
            _submit(first, [_event(number)])
        with ThreadPoolExecutor() as pool:
            merging = pool.submit(follower.do, "merge", "u1", "u2")
            forgetting = pool.submit(first.do, "forget", "u3")
            for number in range(10, EVENTS_OF_USERS):
                _submit(second, [_event(number)])
            assert merging.result()["user_id"] == "u2"
            forgetting.result()
    finally:
        follower.close()
    rows = first.warehouse.trusted_rows("select user_id, event_id from people.events order by seq").dicts()
    expected = {
        f"e{number}": {1: "u2"}.get(number % 5, f"u{number % 5}")
        for number in range(EVENTS_OF_USERS)
        if number % 5 != 3
    }
    assert {row["event_id"]: row["user_id"] for row in rows} == expected
    assert {table: wrong for table, wrong in wrong_rows(first.warehouse, ROOT / "sql" / "checks") if wrong} == {}
