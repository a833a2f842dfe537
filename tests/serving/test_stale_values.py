"""A stale value is served while one computation refreshes it, and never after its deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from alsobought.errors import AlsoboughtError, BadParameters, TooSlow, WarehouseFault
from alsobought.serving.cache import MARGIN_SECONDS, MAX_STALENESS_SECONDS, Cache, stale_until
from alsobought.serving.cached_value import Computed
from alsobought.serving.failures import FAILURE_SECONDS, MAX_FAILURES, Failures
from alsobought.serving.invalidations import MAX_TAGS, Invalidations
from alsobought.serving.refresher import Refresher

TEA = ("item_id", "tea")
MUG = ("item_id", "mug")
BOUND = MAX_STALENESS_SECONDS - MARGIN_SECONDS


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, as a list of one element that a test advances."""
    at = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    return at


class Background:
    """Refreshes that wait until a test runs them."""

    def __init__(self, room: int = 100) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.room, self.joint = room, list[bool]()

    def __call__(self, run: Callable[[], None], /, *, joint: bool) -> bool:
        if len(self.waiting) >= self.room:
            return False
        self.waiting.append(run)
        self.joint.append(joint)
        return True

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class Counter:
    """Each computation is one more than the last, and has the tag of tea; `error` fails them."""

    def __init__(self) -> None:
        self.runs = 0
        self.error: Exception | None = None
        self.before: Callable[[], None] = lambda: None

    def __call__(self) -> Computed[int]:
        self.runs += 1
        number = self.runs
        self.before()
        if self.error:
            raise self.error
        return Computed(number, number, 60, frozenset([TEA]), 1)


@pytest.fixture
def background() -> Background:
    return Background()


@pytest.fixture
def cache(background: Background) -> Cache[int]:
    return Cache(submit=background)


@pytest.fixture
def compute(cache: Cache[int]) -> Counter:
    """What computes the value of `a`, which is cached."""
    compute = Counter()
    assert cache.computed("a", [TEA], compute) == 1
    return compute


def test_a_stale_value_is_served_until_its_deadline(now: list[float], cache: Cache[int], compute: Counter) -> None:
    accepted = now[0]
    now[0] += 0.4  # until it is stored
    cache.invalidate([TEA], stale_until(accepted))
    now[0] = accepted + BOUND - 0.01
    assert cache.get("a") == 1
    now[0] = accepted + BOUND
    assert cache.get("a") is None
    assert (cache.counts.hits, cache.counts.stale_hits, cache.counts.misses) == (0, 1, 1)


def test_the_first_of_several_events_sets_the_deadline(now: list[float], cache: Cache[int], compute: Counter) -> None:
    for later in range(5):
        cache.invalidate([TEA], stale_until(now[0] + later / 10))
    now[0] += BOUND
    assert cache.get("a") is None


def test_a_value_is_dropped_at_once_if_the_batch_took_longer_than_the_bound(
    now: list[float], cache: Cache[int], compute: Counter
) -> None:
    now[0] += 2
    cache.invalidate([TEA], stale_until(now[0] - BOUND))
    assert (cache.get("a"), len(cache)) == (None, 0)


def test_other_events_make_no_value_stale(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    cache.invalidate([MUG], stale_until(now[0]))
    assert (cache.get("a"), cache.counts.hits, background.waiting) == (1, 1, [])


def test_many_callers_of_a_stale_value_start_one_refresh(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    cache.invalidate([TEA], stale_until(now[0]))
    assert [cache.get("a") for _ in range(10)] == [1] * 10
    assert len(background.waiting) == 1
    background.run()
    assert (cache.get("a"), compute.runs) == (2, 2)
    assert (cache.counts.stale_hits, cache.counts.hits, cache.counts.refreshes) == (10, 1, 1)
    now[0] += 30
    assert cache.get("a") == 2, "it is fresh"


def test_without_callers_nothing_is_refreshed(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    cache.invalidate([TEA], stale_until(now[0]))
    now[0] += 100
    assert (background.waiting, cache.get("a")) == ([], None)


def test_a_value_whose_time_is_over_is_refreshed_in_the_background(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    now[0] += 60.5
    assert cache.get("a") == 1
    background.run()
    assert cache.get("a") == 2
    now[0] += 60 + BOUND
    assert cache.get("a") is None


def test_an_event_at_once_drops_values_that_were_stale_already(
    now: list[float], cache: Cache[int], compute: Counter
) -> None:
    """Who waited for the second event must not see an answer without the first."""
    cache.invalidate([TEA], stale_until(now[0]))
    cache.invalidate([MUG])
    assert (cache.get("a"), len(cache), cache.size) == (None, 0, 0)


@pytest.mark.parametrize("at_once", [[TEA], [MUG], []])
def test_no_value_begun_before_an_event_is_cached_after_one_at_once(
    now: list[float], cache: Cache[int], compute: Counter, at_once: list[tuple[str, str]]
) -> None:
    begun = cache.generation
    cache.invalidate([TEA], stale_until(now[0]))
    cache.invalidate(at_once)
    cache.put("b", 7, 60, [TEA], begun)
    assert cache.get("b") is None
    cache.put("b", 8, 60, [TEA], cache.generation)
    assert cache.get("b") == 8


def test_a_value_begun_before_an_event_is_stale_from_the_beginning(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    begun = cache.generation
    cache.invalidate([TEA], stale_until(now[0]))
    cache.put("b", 7, 60, [TEA], begun, compute=compute)
    assert (cache.get("b"), cache.counts.stale_hits, len(background.waiting)) == (7, 1, 1)
    now[0] += BOUND
    assert cache.get("b") is None


def test_an_event_during_a_refresh_makes_its_value_stale_again(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    cache.invalidate([TEA], stale_until(now[0]))
    cache.get("a")
    now[0] += 0.5
    compute.before = lambda: cache.invalidate([TEA], stale_until(now[0]))
    background.run()
    compute.before = lambda: None
    now[0] += 0.5
    assert cache.get("a") == 2, "the deadline of the second event"
    background.run()
    assert (cache.get("a"), compute.runs) == (3, 3)


def test_an_earlier_computation_does_not_replace_a_later_one(now: list[float], cache: Cache[int]) -> None:
    begun = cache.generation
    cache.invalidate([TEA], stale_until(now[0]))
    cache.put("a", 2, 60, [TEA], cache.generation)
    cache.put("a", 1, 60, [TEA], begun)
    assert (cache.get("a"), cache.counts.hits) == (2, 1)


def test_a_refresh_that_comes_too_late_or_is_not_needed_does_not_run(
    now: list[float], cache: Cache[int], compute: Counter, background: Background
) -> None:
    cache.invalidate([TEA], stale_until(now[0]))
    cache.get("a")
    assert cache.computed("a", [TEA], compute) == 2, "a caller was faster"
    background.run()
    assert compute.runs == 2
    cache.invalidate([TEA], stale_until(now[0]))
    cache.get("a")
    now[0] += BOUND
    background.run()
    assert (compute.runs, cache.counts.refreshes) == (2, 0)


def test_a_refresh_without_room_is_asked_for_again(now: list[float]) -> None:
    background = Background(room=0)
    cache: Cache[int] = Cache(submit=background)
    compute = Counter()
    cache.computed("a", [TEA], compute)
    cache.invalidate([TEA], stale_until(now[0]))
    assert cache.get("a") == 1
    background.room = 1
    assert cache.get("a") == 1
    background.run()
    assert cache.get("a") == 2


def test_a_failing_refresh_leaves_the_value_until_its_deadline_and_is_logged_once(
    now: list[float], cache: Cache[int], compute: Counter, background: Background, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for accepted in (2000.0, 3000.0):
        compute.error = None
        now[0] = accepted
        cache.computed("a", [TEA], compute, fresh=True)
        compute.error, runs = WarehouseFault("it is away"), compute.runs
        cache.invalidate([TEA], stale_until(accepted))
        for _ in range(3):
            assert cache.get("a") == runs
            background.run()
        assert compute.runs == runs + 1, "one attempt"
        now[0] = accepted + BOUND
        assert cache.get("a") is None
        with pytest.raises(WarehouseFault):
            cache.computed("a", [TEA], compute)
    assert cache.counts.failed_refreshes == 2
    assert caplog.messages == ["a cached answer of a could not be refreshed: it is away"]
    compute.error = None
    cache.computed("a", [TEA], compute, fresh=True)
    cache.invalidate([TEA], stale_until(now[0]))
    cache.get("a")
    background.run()
    compute.error = WarehouseFault("it is away again")
    cache.invalidate([TEA], stale_until(now[0]))
    cache.get("a")
    background.run()
    assert len(caplog.messages) == 2, "there was a success in between"


def test_a_caller_after_the_deadline_joins_the_refresh(cache: Cache[int]) -> None:
    background = Background()
    cache = Cache(submit=background)
    compute, started, go = Counter(), threading.Event(), threading.Event()
    cache.computed("a", [TEA], compute)
    cache.invalidate([TEA], time.monotonic() + 0.2)
    assert cache.get("a") == 1

    def wait() -> None:
        started.set()
        assert go.wait(30)

    compute.before = wait
    with ThreadPoolExecutor(2) as threads:
        refresh = threads.submit(background.run)
        assert started.wait(30)
        time.sleep(0.25)
        assert cache.get("a") is None
        caller = threads.submit(cache.computed, "a", [TEA], compute)
        time.sleep(0.05)
        go.set()
        refresh.result(30)
        assert (caller.result(30), compute.runs) == (2, 2)


def test_a_fresh_caller_shares_nothing_that_has_begun_but_later_ones_share_with_it(cache: Cache[int]) -> None:
    compute, go = Counter(), threading.Event()
    started = threading.Semaphore(0)

    def wait() -> None:
        started.release()
        assert go.wait(30)

    compute.before = wait
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(cache.computed, "a", [TEA], compute)
        assert started.acquire(timeout=30)
        fresh = threads.submit(lambda: cache.computed("a", [TEA], compute, fresh=True))
        assert started.acquire(timeout=30)
        later = threads.submit(cache.computed, "a", [TEA], compute)
        time.sleep(0.05)
        go.set()
        assert (first.result(30), fresh.result(30), later.result(30)) == (1, 2, 2)
    assert cache.counts.misses == 2, "a fresh caller does not ask the cache"


@pytest.mark.parametrize(("error", "runs"), [(TooSlow("5 s"), 1), (WarehouseFault("no"), 1), (BadParameters("x"), 4)])
def test_a_fault_of_the_service_is_shared_for_a_second(
    now: list[float], cache: Cache[int], error: AlsoboughtError, runs: int
) -> None:
    compute = Counter()
    compute.error = error
    for _ in range(4):
        with pytest.raises(type(error), match=str(error)):
            cache.computed("a", [TEA], compute)
    assert compute.runs == runs
    compute.error = None
    assert cache.computed("b", [TEA], Counter()) == 1, "another key"
    now[0] += FAILURE_SECONDS
    assert cache.computed("a", [TEA], compute) == runs + 1


def test_a_fresh_caller_tries_again_after_a_fault_and_ends_it_for_all(cache: Cache[int]) -> None:
    compute = Counter()
    compute.error = TooSlow("5 s")
    with pytest.raises(TooSlow):
        cache.computed("a", [TEA], compute)
    compute.error = None
    assert cache.computed("a", [TEA], compute, fresh=True) == 2
    assert cache.computed("a", [TEA], compute) == 3


def test_callers_get_errors_of_their_own() -> None:
    """One that several threads raise would grow by the frames of all."""
    failures = Failures()
    failures.add("a", TooSlow("5 s", "Request less"))
    first, second = failures.get("a"), failures.get("a")
    assert first
    assert second
    assert first is not second
    assert (str(first), first.hint, first.__traceback__) == ("5 s. Request less", "Request less", None)


def test_remembered_faults_and_invalidations_are_bounded() -> None:
    failures = Failures()
    for key in range(2 * MAX_FAILURES):
        failures.add(key, TooSlow("5 s"))
    assert len(failures._errors) == MAX_FAILURES
    invalidations = Invalidations()
    for batch in range(200):
        invalidations.add(frozenset((batch, number) for number in range(1_000)), 0.0)
        assert sum(len(tags) for _, tags, _ in invalidations._last) == invalidations._tags <= MAX_TAGS
    assert invalidations._tags == MAX_TAGS


def test_refreshes_that_wait_do_not_begin_after_a_shutdown() -> None:
    refresher, go, ran = Refresher(), threading.Event(), list[int]()

    def run() -> None:
        ran.append(1)
        assert go.wait(30)

    assert all(refresher.submit(run, joint=False) for _ in range(10))
    stop = threading.Timer(0.1, go.set)
    stop.start()
    refresher.shutdown()
    assert len(ran) == 2
    assert not refresher.submit(run, joint=False)
    stop.join()


def test_no_thread_reads_a_value_after_the_deadline_of_an_event() -> None:
    """Readers, events and refreshes race; the bound is 50 ms here."""
    refresher = Refresher()
    cache: Cache[int] = Cache(submit=refresher.submit)
    stored = 0
    bounds: list[tuple[float, int]] = [(0.0, 0)]  # from then on, nothing older than this value
    violations: list[tuple[int, int]] = []
    done = threading.Event()

    def compute() -> Computed[int]:
        value = stored
        time.sleep(0.002)
        return Computed(value, value, 60, frozenset([TEA]), 1)

    def read() -> None:
        while not done.is_set():
            asked = time.monotonic()
            oldest = next(value for since, value in reversed(bounds) if since <= asked)
            value = cache.get("a")
            if value is None:
                value = cache.computed("a", [TEA], compute)
            if value < oldest:
                violations.append((value, oldest))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for value in range(1, 150):
        stored = value
        deadline = time.monotonic() + 0.05
        cache.invalidate([TEA], deadline)
        bounds.append((deadline, value))
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    refresher.shutdown()
    assert violations == []
    assert cache.counts.stale_hits > cache.counts.misses
