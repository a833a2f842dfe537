"""Requests in flight together share a query; each gets its own rows, also when the joint query fails."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from alsobought.errors import WarehouseFault
from alsobought.serving.coalescing import MAX_KEYS, QUERIES, Coalescer
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

    def __init__(self, engine: Engine, coalescer: Coalescer, threads: ThreadPoolExecutor) -> None:
        self.engine, self.coalescer, self.threads = engine, coalescer, threads
        self.first = [self.ask(f"busy{number}") for number in range(QUERIES)]
        while len(engine.asked) < QUERIES:
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
    assert Coalescer().rows("g", ["tea"], "item_id", engine).data == rows_of("tea")
    assert engine.asked == [["tea"]]


def test_requests_that_wait_share_the_next_query_and_get_their_own_rows(threads: ThreadPoolExecutor) -> None:
    engine = Engine()
    callers = Callers(engine, Coalescer(), threads)
    waiting = [callers.ask("tea"), callers.ask("mug", "pot"), callers.ask("tea")]
    engine.go.set()
    assert [future.result(30).data for future in waiting] == [rows_of("tea"), rows_of("mug", "pot"), rows_of("tea")]
    assert [future.result(30).data for future in callers.first] == [rows_of(f"busy{n}") for n in range(QUERIES)]
    assert engine.asked[QUERIES:] == [["tea", "mug", "pot"]]


def test_other_groups_do_not_wait(threads: ThreadPoolExecutor) -> None:
    engine = Engine()
    callers = Callers(engine, Coalescer(), threads)
    other = callers.ask("tea", group="other")
    assert engine.asked[-1] == ["tea"]
    engine.go.set()
    assert other.result(30).data == rows_of("tea")


def test_one_bad_key_spoils_no_other(threads: ThreadPoolExecutor) -> None:
    engine, coalescer = Engine(), Coalescer()
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
    engine, coalescer = Engine(), Coalescer()
    callers = Callers(engine, coalescer, threads)

    def broken(_: list[Any]) -> Rows:
        raise ZeroDivisionError

    waiting = [threads.submit(coalescer.rows, "g", [key], "item_id", broken) for key in ("tea", "mug")]
    time.sleep(0.05)
    engine.go.set()
    for future in waiting:
        with pytest.raises(ZeroDivisionError):
            future.result(30)
    assert all(future.result(30) for future in callers.first)
    assert coalescer.rows("g", ["pot"], "item_id", engine).data == rows_of("pot")


def test_a_query_has_a_bounded_number_of_keys(threads: ThreadPoolExecutor) -> None:
    engine = Engine()
    callers = Callers(engine, Coalescer(), threads)
    waiting = [callers.threads.submit(callers.coalescer.rows, "g", [f"i{n}"], "item_id", engine) for n in range(100)]
    time.sleep(0.3)
    engine.go.set()
    assert [future.result(30).data for future in waiting] == [rows_of(f"i{n}") for n in range(100)]
    sizes = [len(keys) for keys in engine.asked[QUERIES:]]
    assert (sum(sizes), max(sizes)) == (100, MAX_KEYS)
