"""The writer's queue: back-pressure, and the submissions that form a batch."""

from __future__ import annotations

import pytest

from alsobought.errors import Busy
from alsobought.events import Event
from alsobought.items import Item
from alsobought.settings import Settings
from alsobought.writer.queue import WriterQueue
from alsobought.writer.submission import MaintenanceTask, Submission


def events(count: int, source: str = "post") -> Submission:
    return Submission([Event(event_type="view", user_id="u", item_id="tea")] * count, source)


@pytest.fixture
def queue() -> WriterQueue:
    return WriterQueue(Settings(queue_rows=10, batch_rows=5, batch_seconds=0.001))


def gathered(queue: WriterQueue) -> list[Submission]:
    first = queue.take()
    assert isinstance(first, Submission)
    batch = [first]
    queue.gather(batch)
    return batch


def test_a_full_queue_refuses_until_submissions_are_answered(queue: WriterQueue) -> None:
    first = events(8)
    queue.put(first)
    with pytest.raises(Busy):
        queue.put(events(3))
    queue.put(events(2))
    assert queue.waiting_rows == 10
    queue.take()
    with pytest.raises(Busy):
        queue.put(events(1))
    queue.release(first)
    queue.put(events(1))
    assert queue.waiting_rows == 3


def test_an_empty_queue_accepts_any_submission(queue: WriterQueue) -> None:
    queue.put(events(1000))
    assert queue.waiting_rows == 1000


def test_a_batch_has_the_submissions_of_one_source_up_to_its_size(queue: WriterQueue) -> None:
    a, b, too_many = events(2), events(2), events(2)
    for submission in (a, b, too_many):
        queue.put(submission)
    assert gathered(queue) == [a, b]
    assert not queue.idle
    assert gathered(queue) == [too_many]
    assert queue.idle


@pytest.mark.parametrize("other", [events(1, "file"), Submission([Item(item_id="tea")]), MaintenanceTask(lambda: None)])
def test_another_source_an_item_or_a_task_closes_the_batch_and_is_next(
    queue: WriterQueue, other: Submission | MaintenanceTask
) -> None:
    first, behind = events(1), events(1)
    queue.put(first)
    if isinstance(other, Submission):
        queue.put(other)
    else:
        queue.put_task(other)
    queue.put(behind)
    assert gathered(queue) == [first]
    assert queue.take() is other
    assert queue.take() is behind


def test_a_closed_queue_ends_after_everything_before(queue: WriterQueue) -> None:
    a, b = events(1), events(1)
    queue.put(a)
    queue.put(b)
    queue.close()
    assert gathered(queue) == [a, b]
    assert queue.take() is None
