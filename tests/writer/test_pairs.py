"""What would make too many pairs at once is stored in parts, one after the other, and counts the same."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

import pytest

from alsobought.errors import Busy, NotStored
from alsobought.events import Event
from alsobought.settings import Settings
from alsobought.writer import pairs, queue
from alsobought.writer.pairs import PairCount, parts_of
from alsobought.writer.queue import WriterQueue
from alsobought.writer.submission import Stored, Submission

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def lines(number: int, order: str = "o", user: str = "u", first: int = 0) -> list[Event]:
    return [
        Event(event_type="purchase", user_id=user, item_id=f"i{index}", order_id=order)
        for index in range(first, first + number)
    ]


def count_of(events: list[Event]) -> int:
    count = PairCount()
    count.add(events)
    return count.pairs


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], 0),
        (lines(1), 0),
        (lines(2), 4),  # both ways, in the order and of the user
        (lines(3), 12),
        (lines(3, order=""), 6),
        ([*lines(1, "a", "ann"), *lines(1, "b", "ben")], 0),
        (lines(200, order=""), 2 * (sum(range(20)) + 180 * 20)),
        (lines(200), 2 * (sum(range(20)) + 180 * 20) + 2 * (sum(range(100)) + 100 * 100)),
    ],
)
def test_pairs_within_the_windows_are_counted(events: list[Event], expected: int) -> None:
    assert count_of(events) == expected


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 pairs are many, for submissions of more than ten events."""
    monkeypatch.setattr(pairs, "MAX_PAIRS", 1_000)
    monkeypatch.setattr(queue, "MAX_PAIRS", 1_000)
    monkeypatch.setattr(pairs, "FEW_ROWS", 10)


def test_a_long_order_is_stored_in_parts_of_consecutive_lines(few: None) -> None:
    before: Future[Stored] = Future()
    whole = Submission(lines(100), "file", range(500, 600), before, 3, lambda: [NOON] * 100, waiting=True, size=1_000)
    parts = parts_of(whole)
    assert len(parts) > 2
    assert [event for part in parts for event in part.rows] == whole.rows
    assert [offset for part in parts for offset in part.offsets or ()] == list(range(500, 600))
    assert all(count_of(list(part.rows)) < 1_000 + 2 * 120 for part in parts)  # type: ignore[arg-type]
    assert [part.after for part in parts] == [before, *(part.done for part in parts[:-1])]
    for part in parts:
        assert part.sent_at
        assert len(part.sent_at()) == len(part.rows)
        assert (part.source, part.partition, part.waiting, part.size) == ("file", 3, True, 10 * len(part.rows))


def test_the_whole_has_the_sum_of_the_outcomes(few: None) -> None:
    whole = Submission(lines(40))
    parts = parts_of(whole)
    assert len(parts) == 2
    parts[0].done.set_result(Stored(20, 3, NOON, 23))
    assert not whole.done.done()
    later = NOON.replace(hour=13)
    parts[1].done.set_result(Stored(16, 1, later, 17))
    assert whole.done.result() == Stored(36, 4, later, 40)


def test_the_whole_fails_if_a_part_fails(few: None) -> None:
    whole = Submission(lines(40))
    first, second = parts_of(whole)
    first.done.set_exception(NotStored("disk full"))
    second.done.set_exception(NotStored("the one before it failed"))
    with pytest.raises(NotStored, match="disk full"):
        whole.done.result()


@pytest.mark.parametrize("rows", [lines(10), [*lines(30, "a", "ann")[:15], *lines(15, "b", "ben")]])
def test_what_makes_few_pairs_stays_whole(few: None, rows: list[Event]) -> None:
    whole = Submission(rows)
    assert parts_of(whole) == [whole]


def gathered(*submissions: Submission, **settings: Any) -> list[list[int]]:
    """The numbers of rows of the submissions in each batch."""
    waiting, batches = WriterQueue(Settings(batch_seconds=0.001, **settings)), []
    for submission in submissions:
        waiting.put(submission)
    while not waiting.idle:
        first = waiting.take(0)
        assert isinstance(first, Submission)
        batch = [first]
        waiting.gather(batch)
        batches.append([len(submission.rows) for submission in batch])
    return batches


def test_a_batch_closes_when_its_posts_make_many_pairs(few: None) -> None:
    posts = [Submission(lines(5, first=5 * number)) for number in range(10)]
    assert gathered(*posts) == [[5] * 5, [5] * 5]
    assert gathered(*(Submission(lines(5, f"o{number}", f"u{number}")) for number in range(10))) == [[5] * 10]


def test_a_batch_closes_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_BATCH_BYTES", 100)
    assert gathered(*(Submission(lines(1), size=40) for _ in range(5))) == [[1, 1], [1, 1], [1]]


def test_a_queue_of_many_bytes_is_full_until_some_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING_BYTES", 100)
    waiting = WriterQueue(Settings())
    first = Submission(lines(1), size=1_000)
    waiting.put(first)  # an empty queue takes any
    with pytest.raises(Busy):
        waiting.put(Submission(lines(1), size=1))
    waiting.release(first)
    waiting.put(Submission(lines(1), size=60))
    with pytest.raises(Busy):
        waiting.put(Submission(lines(1), size=41))
    waiting.put(Submission(lines(1), size=40))
