"""Writes hold few threads, and decode few bytes, at a time."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from alsobought.errors import Busy
from alsobought.web import write_slots
from alsobought.web.write_slots import WriteSlots


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_slots, "WAIT_SECONDS", 0.01)


def test_all_threads_but_two_may_write() -> None:
    slots = WriteSlots(5, 100)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(slots.acquire())
        with pytest.raises(Busy), slots.acquire():
            pass
    with slots.acquire():
        pass


def test_bodies_share_their_bytes() -> None:
    slots = WriteSlots(32, 100)
    with slots.acquire(60):
        with slots.acquire(40), slots.acquire(0), pytest.raises(Busy), slots.acquire(1):
            pass
        with pytest.raises(Busy), slots.acquire(41):
            pass
    with slots.acquire(100):
        pass


def test_one_body_may_be_larger_than_all() -> None:
    with WriteSlots(32, 100).acquire(1_000):
        pass
