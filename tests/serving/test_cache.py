"""Cached answers are served only while they are fresh."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count, takewhile

import pytest

from alsobought.serving.cache import TAG_BYTES, Cache
from alsobought.serving.cached_value import Computed

TEA = ("item_id", "tea")
MUG = ("item_id", "mug")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, as a list of one element that a test advances."""
    at = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    return at


def test_a_value_is_fresh_until_its_time_is_over(now: list[float]) -> None:
    """Then it is stale, for as long again, at most for a second without the margin."""
    cache: Cache[str] = Cache()
    cache.put("a", "value", 2, (), cache.generation)
    cache.put("b", "short", 0.5, (), cache.generation)
    now[0] += 0.99
    assert (cache.get("a"), cache.get("b")) == ("value", "short")
    now[0] += 0.02
    assert (cache.get("a"), cache.get("b")) == ("value", None)
    now[0] += 1.88
    assert (cache.get("a"), cache.counts.hits, cache.counts.stale_hits) == ("value", 2, 2)
    now[0] += 0.02
    assert cache.get("a") is None


def test_reading_does_not_extend_the_lifetime(now: list[float]) -> None:
    cache: Cache[str] = Cache()
    cache.put("a", "value", 2, (), cache.generation)
    for _ in range(4):
        now[0] += 0.9
        cache.get("a")
    assert cache.get("a") is None


def test_a_missing_key_is_a_miss() -> None:
    assert Cache[str]().get("a") is None


def test_invalidation_drops_values_with_the_tag_only() -> None:
    cache: Cache[str] = Cache()
    cache.put("a", "of tea", 60, [TEA], cache.generation)
    cache.put("b", "of both", 60, [TEA, MUG], cache.generation)
    cache.put("c", "of mug", 60, [MUG], cache.generation)
    cache.put("d", "of nothing", 60, [], cache.generation)
    cache.invalidate([TEA])
    assert [cache.get(key) for key in "abcd"] == [None, None, "of mug", "of nothing"]


def test_the_same_id_of_another_kind_is_another_tag() -> None:
    cache: Cache[str] = Cache()
    cache.put("a", "value", 60, [("user_id", "tea")], cache.generation)
    cache.invalidate([TEA])
    assert cache.get("a") == "value"


def test_a_value_begun_before_an_invalidation_of_one_of_its_tags_is_not_cached() -> None:
    cache: Cache[str] = Cache()
    begun = cache.generation
    cache.invalidate([TEA])
    cache.invalidate([MUG])
    cache.put("a", "may be old", 60, [TEA], begun)
    cache.put("b", "of the lamp", 60, [("item_id", "lamp")], begun)
    cache.put("c", "of no item", 60, [], begun)
    assert [cache.get(key) for key in "abc"] == [None, "of the lamp", "of no item"]
    cache.put("a", "new", 60, [TEA], cache.generation)
    assert cache.get("a") == "new"


@pytest.mark.parametrize(
    "invalidations", [[[("item_id", str(n))] for n in range(300)], [[("item_id", str(n)) for n in range(60_000)]]]
)
def test_a_value_begun_before_more_invalidations_than_are_remembered_is_not_cached(
    invalidations: list[list[tuple[str, str]]],
) -> None:
    cache: Cache[str] = Cache()
    begun = cache.generation
    for tags in invalidations:
        cache.invalidate(tags)
    cache.put("a", "may be old", 60, [TEA], begun)
    assert cache.get("a") is None


def of(value: int, *tags: tuple[str, ...], seconds: float = 60) -> Computed[int]:
    return Computed(value, value, seconds, frozenset(tags), 1)


class Computation:
    """A computation that waits until `go` is set, and counts its runs."""

    def __init__(self) -> None:
        self.runs, self.started, self.go = 0, threading.Event(), threading.Event()

    def __call__(self) -> Computed[int]:
        self.runs += 1
        self.started.set()
        assert self.go.wait(30)
        return of(self.runs, seconds=0)


def test_callers_of_the_same_key_share_one_computation() -> None:
    cache: Cache[int] = Cache()
    compute = Computation()
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(cache.computed, "a", [TEA], compute)
        assert compute.started.wait(30)
        others = [threads.submit(cache.computed, "a", [TEA], compute) for _ in range(3)]
        time.sleep(0.05)
        compute.go.set()
        assert [future.result(30) for future in (first, *others)] == [1, 1, 1, 1]
    assert (compute.runs, cache.in_use) == (1, False)


def test_a_caller_after_an_invalidation_does_not_share_an_earlier_computation() -> None:
    cache: Cache[int] = Cache()
    old, new = Computation(), Computation()
    new.runs = 10
    new.go.set()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.computed, "a", [TEA], old)
        assert old.started.wait(30)
        cache.invalidate([MUG])
        second = threads.submit(cache.computed, "a", [TEA], new)  # nothing about tea: shared
        time.sleep(0.05)
        assert not second.done()
        cache.invalidate([TEA])
        assert cache.computed("a", [TEA], new) == 11
        old.go.set()
        assert (first.result(30), second.result(30)) == (1, 1)


def test_an_error_reaches_all_callers_and_the_next_one_computes_again() -> None:
    cache: Cache[int] = Cache()

    def fail() -> Computed[int]:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cache.computed("a", [], fail)
    assert cache.computed("a", [], lambda: of(2)) == 2


def test_a_value_begun_before_a_clear_is_not_cached() -> None:
    cache: Cache[str] = Cache()
    begun = cache.generation
    cache.clear()
    cache.put("a", "may be old", 60, [], begun)
    assert cache.get("a") is None


def test_clearing_drops_everything() -> None:
    cache: Cache[str] = Cache()
    cache.put("a", "value", 60, [TEA], cache.generation)
    cache.clear()
    assert cache.get("a") is None


def test_a_replaced_value_has_only_its_new_tags() -> None:
    cache: Cache[str] = Cache()
    cache.put("a", "of tea", 60, [TEA], cache.generation)
    cache.put("a", "of mug", 60, [MUG], cache.generation)
    cache.invalidate([TEA])
    assert cache.get("a") == "of mug"
    cache.invalidate([MUG])
    assert cache.get("a") is None


def test_the_least_recently_used_value_is_evicted_first() -> None:
    cache: Cache[int] = Cache(count=2)
    cache.put("a", 1, 60, [TEA], cache.generation)
    cache.put("b", 2, 60, [TEA], cache.generation)
    cache.get("a")
    cache.put("c", 3, 60, [TEA], cache.generation)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_the_total_size_is_bounded() -> None:
    """That of tags, too, since the index has them; stale values count as long as they are there."""
    each = 10 + TAG_BYTES
    cache: Cache[int] = Cache(size=10 * each)
    for number in range(20):
        cache.put(number, number, 60, [TEA], cache.generation, size=10)
    assert [number for number in range(20) if cache.get(number) is not None] == list(range(10, 20))
    cache.invalidate([TEA], deadline=time.monotonic() + 60)
    assert (len(cache), cache.size) == (10, 10 * each)
    cache.put("new", 0, 60, [TEA], cache.generation, size=10)
    assert (len(cache), cache.size) == (10, 10 * each)
    cache.invalidate([TEA])
    assert (len(cache), cache.size) == (0, 0)
    for number in range(10):
        cache.put(number, number, 60, [TEA], cache.generation, size=10)
    assert len(cache) == 10, "dropped values do not count"


def test_a_long_answer_is_not_cached_and_evicts_nothing() -> None:
    cache: Cache[int] = Cache()
    cache.put("short", 1, 60, [], cache.generation, size=256_000)
    cache.put("long", 2, 60, [], cache.generation, size=256_001)
    assert (cache.get("short"), cache.get("long")) == (1, None)


def test_expired_values_are_swept_without_being_read(now: list[float]) -> None:
    cache: Cache[int] = Cache()
    for number in range(100):
        cache.put(number, number, 1, [("item_id", str(number))], cache.generation, size=10)
    now[0] += 60
    cache.put("new", 1, 60, [TEA], cache.generation)
    assert len(cache) == 1
    assert list(cache._keys_of_tag) == [TEA]
    assert cache.size == 1 + TAG_BYTES


def test_a_dropped_value_leaves_nothing_in_memory(now: list[float]) -> None:
    cache: Cache[int] = Cache(size=10 * TAG_BYTES)
    for number in range(1000):
        cache.put(number, number, 1, [("item_id", str(number))], cache.generation)
    now[0] += 2
    for number in range(1000):
        cache.get(number)
    assert not (cache._values or cache._stale)
    assert not cache._keys_of_tag


def test_a_value_with_a_lifetime_of_zero_expires_at_once(now: list[float]) -> None:
    cache: Cache[int] = Cache()
    cache.put("a", 1, 0, (), cache.generation)
    now[0] += 0.001
    assert cache.get("a") is None


def test_no_thread_reads_a_value_invalidated_before_its_read() -> None:
    cache: Cache[int] = Cache(size=50 * TAG_BYTES)
    stored = [0]  # what a query would see
    invalidated = [0]  # the newest value whose invalidation is done
    stale: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            generation, oldest = cache.generation, invalidated[0]
            value = cache.get("a")
            if value is None:
                cache.put("a", stored[0], 60, [TEA], generation)
            elif value < oldest:
                stale.append((value, oldest))

    def fill() -> None:
        for number in takewhile(lambda _: not done.is_set(), count()):
            cache.put(number, number, 60, [MUG, ("item_id", str(number % 7))], cache.generation)

    threads = [threading.Thread(target=work) for work in (read, read, read, fill)]
    for thread in threads:
        thread.start()
    for value in range(1, 3000):
        stored[0] = value
        cache.invalidate([TEA, MUG] if value % 2 else [TEA])
        invalidated[0] = value
    done.set()
    for thread in threads:
        thread.join()
    assert stale == []
    assert len(cache._values) <= 50
