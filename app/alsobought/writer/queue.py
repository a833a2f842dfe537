"""The writer's queue and its back-pressure: submissions and tasks wait here, and a full queue refuses callers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from alsobought.errors import Busy
from alsobought.events import Event
from alsobought.settings import Settings
from alsobought.writer.pairs import MAX_PAIRS, PairCount, parts_of
from alsobought.writer.submission import MaintenanceTask, Submission

SMALL_BATCH_ROWS = 1_000  # up to about this many, a batch costs the same whatever its size
MAX_WAITING_BYTES = 67_108_864  # decoded they take several times as much
MAX_BATCH_BYTES = 16_777_216


class WriterQueue:
    """Filled by any thread, emptied by the writer's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._queue: queue.Queue[Submission | MaintenanceTask | None] = queue.Queue()
        self._next: Submission | MaintenanceTask | None = None  # did not fit into the batch before it
        self._lock = threading.Lock()
        self._waiting_rows = self._waiting_bytes = 0

    def put(self, submission: Submission, append: Callable[[Submission], None] = lambda _: None) -> None:
        """Queues a submission once `append` has logged it: the queue has the order of the log.

        Raises Busy when more than `queue_rows` events, or too many bytes, would wait. An empty queue accepts any submission.
        """
        with self._lock:
            self._require_room(submission)
            submission.accepted_at = time.monotonic()
            append(submission)
            self._put(submission)

    def require_room(self, submission: Submission) -> None:
        """Raises Busy if `put` would."""
        with self._lock:
            self._require_room(submission)

    def _require_room(self, submission: Submission) -> None:
        rows, size = self._waiting_rows + len(submission.rows), self._waiting_bytes + submission.size
        if self._waiting_rows and (rows > self._settings.queue_rows or size > MAX_WAITING_BYTES):
            raise Busy("the writer is behind", "Send the same events again in a second")

    def _put(self, submission: Submission) -> None:
        for part in parts_of(submission):
            self._waiting_rows += len(part.rows)
            self._waiting_bytes += part.size
            self._queue.put(part)

    def put_all(self, submissions: Iterable[Submission]) -> None:
        """Queues submissions that were accepted before the last start, however many they are."""
        for submission in submissions:
            self._put(submission)

    def put_task(self, task: MaintenanceTask) -> None:
        self._queue.put(task)

    def close(self) -> None:
        """`take` returns None once everything queued before is taken."""
        self._queue.put(None)

    def take(self, seconds: float | None = None) -> Submission | MaintenanceTask | None:
        """The next submission or task, as soon as there is one; None at the end. Raises `queue.Empty` after so long."""
        taken, self._next = self._next or self._queue.get(timeout=seconds), None
        return taken

    def gather(self, batch: list[Submission], paced_until: float = 0.0) -> None:
        """Appends to a batch of one submission those that belong to it, until it is full or `batch_seconds` have passed.

        A small batch that nobody waits for also stays open until `paced_until`, on the monotonic clock.
        """
        rows, size, awaited = len(batch[0].rows), batch[0].size, batch[0].waiting
        count = PairCount()
        count.add(cast(Sequence[Event], batch[0].rows))
        closes = time.monotonic() + self._settings.batch_seconds
        while rows < self._settings.batch_rows and size < MAX_BATCH_BYTES and count.pairs < MAX_PAIRS:
            paced = paced_until if rows < SMALL_BATCH_ROWS and not awaited else 0.0
            try:
                taken = self._queue.get(timeout=max(0.0, max(closes, paced) - time.monotonic()))
            except queue.Empty:
                return
            if taken is None:
                self._queue.put(None)
                return
            if isinstance(taken, Submission):
                rows += len(taken.rows)
                size += taken.size
                fits = rows <= self._settings.batch_rows and size <= MAX_BATCH_BYTES
                if taken.kind == "event" and taken.source == batch[0].source and fits:
                    batch.append(taken)
                    count.add(cast(Sequence[Event], taken.rows))
                    awaited = awaited or taken.waiting
                    continue
            self._next = taken
            return

    def release(self, *submissions: Submission) -> None:
        """The room of submissions that are answered."""
        with self._lock:
            self._waiting_rows -= sum(len(submission.rows) for submission in submissions)
            self._waiting_bytes -= sum(submission.size for submission in submissions)

    @property
    def idle(self) -> bool:
        return self._next is None and self._queue.empty()

    @property
    def waiting_rows(self) -> int:
        """Events, items and users that are not answered yet."""
        return self._waiting_rows

    @property
    def waiting_bytes(self) -> int:
        """The size of the same, as they were sent."""
        return self._waiting_bytes
