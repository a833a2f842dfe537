"""Processes that wait for each other's refreshes; here copies, which share the memory as forks do."""

from __future__ import annotations

import copy
import threading
import time

import pytest

from alsobought.errors import Busy
from alsobought.serving import siblings as module
from alsobought.serving.siblings import FIRST_SLOT, Siblings


def joined(parent: Siblings) -> Siblings:
    sibling = copy.copy(parent)
    sibling.join(parent.take_slot())
    sibling.start()
    return sibling


def test_a_process_alone_waits_for_itself_only() -> None:
    alone = Siblings()
    alone.start()
    since = time.monotonic()
    alone.request(since)
    assert alone.is_requested
    alone.record_refresh(time.monotonic())
    assert not alone.is_requested
    alone.await_refreshes(since)


def test_a_wait_ends_when_every_process_has_begun_a_refresh_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.1)
    parent = Siblings()
    asks, other = joined(parent), joined(parent)
    earlier, since = time.monotonic(), time.monotonic() + 0.001
    asks.request(since)
    asks.record_refresh(since)
    other.record_refresh(earlier)
    assert other.is_requested
    with pytest.raises(Busy):
        asks.await_refreshes(since)
    other.record_refresh(since)
    assert not other.is_requested
    asks.await_refreshes(since)


def test_a_request_that_another_one_overwrote_is_made_again() -> None:
    parent = Siblings()
    asks, other = joined(parent), joined(parent)
    since = time.monotonic()
    asks.record_refresh(since)
    waiting = threading.Thread(target=asks.await_refreshes, args=(since,))  # which has not been requested
    waiting.start()
    while not other.is_requested:
        time.sleep(0.001)
    other.record_refresh(time.monotonic())
    waiting.join(5)
    assert not waiting.is_alive()


def test_nobody_waits_for_a_process_that_has_stopped_or_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.1)
    parent = Siblings()
    asks, stops, killed = joined(parent), joined(parent), joined(parent)
    asks.record_refresh(1.0)
    stops.stop()
    stops.record_refresh(0.5)  # too late: it stays out
    with pytest.raises(Busy):
        asks.await_refreshes(1.0)
    parent.free_slot(killed._slot)
    asks.await_refreshes(1.0)


def test_the_first_slot_is_free_again_when_its_process_has_ended() -> None:
    parent = Siblings()
    slots = [parent.take_slot() for _ in range(3)]
    assert slots[0] == FIRST_SLOT
    parent.free_slot(slots[0])
    assert (parent.take_slot(), parent.take_slot()) == (FIRST_SLOT, slots[-1] + 1)
