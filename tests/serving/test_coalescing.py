"""Requests in flight together share a query; each gets its own rows, also when the joint query fails."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from alsobought.errors import WarehouseFault
from alsobought.serving.coalescing import LEADERS, MAX_KEYS, Coalescer
from alsobought.serving.query_slots import QuerySlots
from alsobought.storage.results import Column, Rows, Statistics


class Engine:
    """A query that waits for `go`, records its keys, and fails for the key "bad"."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.go = threading.Event()

    def __call__(self, keys: list[Any]) -> Rows:
        self.asked.append(keys)
        assert self.go.wait(30)
        if "bad" in keys:
            raise WarehouseFault("broken")
        data = [[key, number] for key in sorted(keys) for number in range(2)]
        return Rows([Column("item_id", "String"), Column("n", "UInt8")], data, Statistics(0.1, 1, 1))


class Callers:
    """Callers in threads of their own, the first of whom keep the group busy."""

    def __init__(self, engine: Engine, coalescer: Coalescer, threads: ThreadPoolExecutor, slots: int = 9) -> None:
        self.engine, self.coalescer, self.threads = engine, coalescer, threads
        self.first, *_ = [self.ask("busy") for _ in range(LEADERS)]
        while len(engine.asked) < min(LEADERS, slots):
            time.sleep(0.001)

    def ask(self, *keys: str, group: str = "g") -> Future[Rows]:
        future = self.threads.submit(self.coalescer.rows, group, list(keys), "item_id", self.engine)
        time.sleep(0.02)  # in the order of the calls
        return future


def rows_of(*keys: str) -> list[list[Any]]:
    return [[key, number] for key in keys for number in range(2)]


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(2 * MAX_KEYS) as pool:
        yield pool


def test_a_lone_request_runs_at_once() -> None:
    engine = Engine()
    engine.go.set()
    assert Coalescer(QuerySlots(9)).rows("g", ["tea"], "item_id", engine).data == rows_of("tea")
    assert engine.asked == [["tea"]]


def test_requests_that_wait_share_the_next_query_and_get_their_own_rows(threads: ThreadPoolExecutor) -> None:
    engine = Engine()
    callers = Callers(engine, Coalescer(QuerySlots(9)), threads)
    waiting = [callers.ask("tea"), callers.ask("mug", "pot"), callers.ask("tea")]
    engine.go.set()
    assert [future.result(30).data for future in waiting] == [rows_of("tea"), rows_of("mug", "pot"), rows_of("tea")]
    assert callers.first.result(30).data == rows_of("busy")
    assert engine.asked[LEADERS:] == [["tea", "mug", "pot"]]


def test_other_groups_do_not_wait(threads: ThreadPoolExecutor) -> None:
    engine = Engine()
    callers = Callers(engine, Coalescer(QuerySlots(9)), threads)
    other = callers.ask("tea", group="other")
    assert engine.asked[-1] == ["tea"]
    engine.go.set()
    assert other.result(30).data == rows_of("tea")


def test_one_bad_key_spoils_no_other(threads: ThreadPoolExecutor) -> None:
    engine, coalescer = Engine(), Coalescer(QuerySlots(9))
    callers = Callers(engine, coalescer, threads)
    waiting = [callers.ask(key) for key in ("tea", "bad", "mug")]
    engine.go.set()
    assert waiting[0].result(30).data == rows_of("tea")
    assert waiting[2].result(30).data == rows_of("mug")
    with pytest.raises(WarehouseFault):
        waiting[1].result(30)
    for _ in range(2):  # nobody holds the group any more
        assert coalescer.rows("g", ["pot"], "item_id", engine).data == rows_of("pot")


def test_an_unexpected_error_reaches_everybody_and_the_group_goes_on(threads: ThreadPoolExecutor) -> None:
    engine, coalescer = Engine(), Coalescer(QuerySlots(9))
    callers = Callers(engine, coalescer, threads)

    def broken(_: list[Any]) -> Rows:
        raise ZeroDivisionError

    waiting = [threads.submit(coalescer.rows, "g", [key], "item_id", broken) for key in ("tea", "mug")]
    time.sleep(0.05)
    engine.go.set()
    for future in waiting:
        with pytest.raises(ZeroDivisionError):
            future.result(30)
    assert callers.first.result(30)
    assert coalescer.rows("g", ["pot"], "item_id", engine).data == rows_of("pot")


def test_a_query_has_a_bounded_number_of_keys(threads: ThreadPoolExecutor) -> None:
    engine = Engine()
    callers = Callers(engine, Coalescer(QuerySlots(9)), threads)
    waiting = [callers.threads.submit(callers.coalescer.rows, "g", [f"i{n}"], "item_id", engine) for n in range(100)]
    time.sleep(0.3)
    engine.go.set()
    assert [future.result(30).data for future in waiting] == [rows_of(f"i{n}") for n in range(100)]
    sizes = [len(keys) for keys in engine.asked[LEADERS:]]
    assert (sum(sizes), max(sizes)) == (100, MAX_KEYS)


def test_requests_join_a_query_that_waits_for_a_slot(threads: ThreadPoolExecutor) -> None:
    engine, slots = Engine(), QuerySlots(1)
    callers = Callers(engine, Coalescer(slots), threads, slots=1)
    waiting = [callers.ask(key, group="other") for key in ("tea", "mug", "pot")]
    engine.go.set()
    assert [future.result(30).data for future in waiting] == [rows_of("tea"), rows_of("mug"), rows_of("pot")]
    assert engine.asked == [["busy"], ["busy"], ["tea", "mug", "pot"]]


def test_slots_are_given_in_the_order_of_asking() -> None:
    slots, order, threads = QuerySlots(1), [], []

    def run(number: int) -> None:
        with slots.taken():
            order.append(number)

    with slots.taken():
        for number in range(5):
            threads.append(threading.Thread(target=run, args=(number,)))
            threads[-1].start()
            time.sleep(0.01)
        assert not order
    for thread in threads:
        thread.join(30)
    assert order == list(range(5))


def test_pipes_have_slots_in_turn() -> None:
    slots, order, threads = QuerySlots(1), [], []

    def run(pipe: str) -> None:
        with slots.taken(pipe):
            order.append(pipe)

    with slots.taken("slow"):
        for number, pipe in enumerate(["slow", "slow", "slow", "popular", "trending"], 1):
            threads.append(threading.Thread(target=run, args=(pipe,)))
            threads[-1].start()
            while len(slots._waiting[False]) < number:
                time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert order == ["slow", "popular", "trending", "slow", "slow"]


def test_a_query_in_the_background_waits_for_a_few_callers_and_not_for_all() -> None:
    slots, order, threads = QuerySlots(1), [], []

    def run(name: str, background: bool) -> None:
        with slots.taken(name, background=background):
            order.append(name)

    with slots.taken():
        for number in range(6):
            threads.append(threading.Thread(target=run, args=("refresh" if number == 0 else "caller", number == 0)))
            threads[-1].start()
            while slots.load != (1, number + 1):
                time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert order.index("refresh") in (2, 3), order


def test_a_slot_is_free_again_after_an_error() -> None:
    slots = QuerySlots(1)
    with pytest.raises(ZeroDivisionError), slots.taken():
        raise ZeroDivisionError
    with slots.taken():
        pass


def test_a_reserved_slot_is_held_at_once_and_callers_wait_for_the_others() -> None:
    slots, started = QuerySlots(2), threading.Event()

    def query() -> None:
        with slots.taken():
            started.set()

    with slots.taken(), slots.taken(), slots.reserved():
        pass
    with slots.reserved():
        with slots.taken():
            thread = threading.Thread(target=query)
            thread.start()
            assert not started.wait(0.1)
        assert started.wait(5)
    thread.join(5)
