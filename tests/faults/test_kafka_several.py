"""Several who read and several who write: one at a time does, and whoever was held up stores nothing twice."""

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
TURNS = 24 if THOROUGH else 8
STORED = 40 if THOROUGH else 18


def _holder(rig: Rig) -> Ingester | None:
    """The ingester that writes now."""
    said = rig.ask("select holder from {db}.writers order by epoch desc limit 1")
    found = [one for one in rig.ingesters if one.runs and said.endswith(f":{one.process.pid}")]
    return found[0] if found else None


def _other(rig: Rig, than: Ingester) -> float:
    """Waits until another writes; the seconds it took."""
    return rig.wait(lambda: _holder(rig) not in (None, than), 30)


@pytest.mark.parametrize(
    "spread", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["by user", "wrong key"]
)
def test_three_ingesters_of_which_one_dies_one_is_stopped_and_one_comes(
    make_rig: MakeRig, server: str, spread: bool
) -> None:
    rig = make_rig(server)
    rig.stream = mixed(41, ids=spread, repeated=0.01, poison=0.01)
    for _ in range(3):
        rig.ingester()
    with rig.flowing(200, spread=spread):
        rig.wait(lambda: rig.read() > 500)
        first = _holder(rig)
        assert first
        first.kill()
        after_kill = _other(rig, first)
        second = _holder(rig)
        assert second
        assert second.stop() == 0
        _other(rig, second)
        rig.ingester()
        rig.more(500)
    users = "the same users on all partitions" if spread else "three ingesters, one killed, one stopped, one added"
    rig.settle(users, 3, after_kill)


@pytest.mark.thorough
@pytest.mark.parametrize("nth", range(5 if THOROUGH else 1))
def test_an_ingester_that_slept_while_another_took_over_stores_nothing_twice(
    make_rig: MakeRig, server: str, nth: int
) -> None:
    rig = make_rig(server)
    rig.stream = mixed(42 + nth, ids=False, poison=0.01)
    for _ in range(2):
        rig.ingester()
    with rig.flowing(200):
        rig.wait(lambda: rig.read() > 500 * (nth + 1))
        sleeper = _holder(rig)
        assert sleeper
        sleeper.freeze()
        seconds = _other(rig, sleeper)
        rig.more(500)
        sleeper.thaw()
        rig.more(500)
    rig.settle("an ingester stopped for longer than its session, and woken", 1, seconds)


@pytest.mark.thorough
def test_a_second_ingester_on_a_folder_is_refused_and_the_first_goes_on(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.flow(500)
    first = rig.ingester()
    rig.wait(lambda: rig.read() == 500)
    second = rig.ingester()
    assert second.process.wait(30) != 0
    assert f"is in use by process {first.process.pid}" in second.said
    assert "Traceback" not in second.said
    rig.flow(500)
    rig.settle("a second ingester on one folder: refused")


# Two writers in this process


@pytest.fixture
def shops(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[Service]]]:
    monkeypatch.setattr("alsobought.writer.fencing.LEASE_SECONDS", 0.1)  # a second is for real loads
    with ExitStack() as stack:

        def make(name: str) -> list[Service]:
            settings = Settings(dsn=server, database=name, batch_seconds=0.001, record_requests=False)
            migrate(settings)
            made = [open_service(settings), open_service(settings)]
            for shop in made:
                stack.callback(shop.close)
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


def _submit(shop: Service, events: list[Event], tries: int = 50) -> None:
    """As a client would: what may not be stored is sent again, after a moment."""
    for _ in range(tries):
        try:
            shop.writer.submit(Submission(events)).result()
            return
        except NotStored:
            time.sleep(random.uniform(0, 0.5))
    raise AssertionError("never stored")


def _is_right(shop: Service, count: int) -> None:
    rows = shop.warehouse.trusted_rows(f"select * from {shop.settings.database}.events order by seq").dicts()
    assert sorted(row["event_id"] for row in rows) == sorted(f"e{number}" for number in range(count))
    happened = [_happened(row) for row in rows]
    found, expected = tables(shop.warehouse), fold(happened)
    assert [table for table in expected if found[table] != expected[table]] == []
    assert {table: wrong for table, wrong in wrong_rows(shop.warehouse, ROOT / "sql" / "checks") if wrong} == {}


def _happened(row: dict[str, Any]) -> StoredEvent:
    fields = {name: row[name] for name in StoredEvent.__dataclass_fields__}
    at = datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC)
    return StoredEvent(**{**fields, "timestamp": at, "price": Decimal(str(row["price"]))})


def test_two_writers_that_take_turns_store_everything_once(shops: Callable[[str], list[Service]]) -> None:
    both = shops("turns")
    for number in range(TURNS):
        _submit(both[number % 2], [_event(number)])
    _is_right(both[0], TURNS)


@pytest.mark.thorough
def test_two_writers_that_write_at_once_store_everything_once(shops: Callable[[str], list[Service]]) -> None:
    both = shops("at_once")

    def store(which: int) -> None:
        for number in range(which, TURNS, 2):
            _submit(both[which], [_event(number)])

    with ThreadPoolExecutor() as pool:
        list(pool.map(store, range(2)))
    _is_right(both[1], TURNS)


def test_a_claim_waits_for_an_insert_that_is_under_way(shops: Callable[[str], list[Service]]) -> None:
    shop, other = shops("waits")
    _submit(shop, [_event(0)])
    sql = (
        f"insert into {shop.settings.database}.events select * from {shop.settings.database}.events where sleep(2) != 0"
    )
    slow = threading.Thread(target=lambda: shop.warehouse.another().command(sql))
    slow.start()
    processes = "select count() from system.processes where query like 'insert into waits.events select%'"
    while not other.warehouse.trusted_rows(processes).data[0][0]:
        time.sleep(0.01)
    claim(other.warehouse, 0)
    assert not other.warehouse.trusted_rows(processes).data[0][0]
    slow.join()
    _is_right(shop, 1)


@pytest.mark.thorough
def test_a_writer_that_slept_while_it_healed_stores_nothing_twice(
    shops: Callable[[str], list[Service]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes when another has stored more batches than the database remembers: a window of two stands for the thousand."""
    sleeper, other = shops("slept")
    for table in ("events", "co_baskets", "user_items", "item_hours"):
        sleeper.warehouse.command(f"alter table slept.{table} modify setting non_replicated_deduplication_window = 2")
    _submit(sleeper, [_event(0)])
    insert_select = sleeper.warehouse.insert_select

    def sleeps(*given: Any) -> None:
        for number in range(1, 7):
            _submit(other, [_event(number)])
        insert_select(*given)

    sleeper.writer.lease.dirty = True
    with monkeypatch.context() as asleep:
        asleep.setattr(sleeper.warehouse, "insert_select", sleeps)
        sleeper.writer.submit(Submission([_event(7)])).result()
    _is_right(other, 8)


def test_what_one_process_merges_and_forgets_the_others_know(shops: Callable[[str], list[Service]]) -> None:
    """Also a process that only follows, which starts a writer for it; and while another stores all the time."""
    one, other = shops("people")
    follower = open_service(one.settings, writes=False)
    try:
        for number in range(10):
            _submit(one, [_event(number)])
        with ThreadPoolExecutor() as pool:
            merging = pool.submit(follower.do, "merge", "u1", "u2")
            forgetting = pool.submit(one.do, "forget", "u3")
            for number in range(10, STORED):
                _submit(other, [_event(number)])
            assert merging.result()["user_id"] == "u2"
            forgetting.result()
    finally:
        follower.close()
    rows = one.warehouse.trusted_rows("select user_id, event_id from people.events order by seq").dicts()
    expected = {
        f"e{number}": {1: "u2"}.get(number % 5, f"u{number % 5}") for number in range(STORED) if number % 5 != 3
    }
    assert {row["event_id"]: row["user_id"] for row in rows} == expected
    assert {table: wrong for table, wrong in wrong_rows(one.warehouse, ROOT / "sql" / "checks") if wrong} == {}
