"""Submit batches in order, a few in flight at a time, and count their outcomes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from alsobought.errors import Busy, NotStored
from alsobought.events import Event, is_negative
from alsobought.failpoints import reach
from alsobought.items import Item
from alsobought.users import User
from alsobought.writer.submission import Intake, SentRows, Stored, Submission

MAX_IN_FLIGHT = 3  # one batch is stored while the next is read
BUSY_SECONDS = 0.1


@dataclass
class Report:
    """Rows of a load by outcome. Skipped rows are calls of analytics tools that are none of ours, `dropped` counts events of bots.

    `already_loaded`: an earlier run loaded the file to its end, so it was not read again. `left_out`
    counts rows that a condition left out, `first_rows` are those of a dry run.
    """

    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: int = 0
    dropped: int = 0
    already_loaded: bool = False
    left_out: int = 0
    purchases: int = 0
    without_order: int = 0
    negative: int = 0
    first_rows: list[Event | Item | User] = field(default_factory=list)

    def count_orders(self, rows: SentRows) -> None:
        """Count purchases, those without an order, and rows that take purchases back."""
        self.negative += sum(isinstance(row, Event) and is_negative(row) for row in rows)
        orders = [row.order_id for row in rows if isinstance(row, Event) and row.event_type == "purchase"]
        self.purchases += len(orders)
        self.without_order += orders.count("")


class Submitter:
    """Submits to the writer; after a batch that failed, no later one is stored."""

    def __init__(self, writer: Intake, advance: Callable[[int], object] = lambda _: None) -> None:
        self._writer, self._advance = writer, advance
        self._in_flight: deque[tuple[Future[Stored], int]] = deque()
        self._last: Future[Stored] | None = None
        self.report = Report()

    def send(self, submission: Submission, size: int | None = None) -> None:
        """Submit rows; call `advance` with `size`, by default their number, once they are stored.

        Raises NotStored if an earlier batch failed.
        """
        size = len(submission.rows) if size is None else size
        if not submission.rows:
            self._advance(size)
            return
        while len(self._in_flight) >= MAX_IN_FLIGHT:
            self._settle()
        submission.after = self._last
        while True:
            try:
                self._last = self._writer.submit(submission)
                self._in_flight.append((self._last, size))
                reach("load.submitted")
                return
            except Busy:
                if not self._in_flight:
                    time.sleep(BUSY_SECONDS)  # the queue is full of other submissions
                else:
                    self._settle()

    def finish(self) -> Report:
        """Wait for all batches. Raises NotStored."""
        while self._in_flight:
            self._settle()
        return self.report

    def _settle(self) -> None:
        future, size = self._in_flight.popleft()
        try:
            stored = future.result()
        except NotStored as error:
            hint = "Fix the cause, then load the same again: rows that are stored already count once"
            raise NotStored(f"the warehouse rejected a batch: {error.__cause__}", hint) from error
        reach("load.stored")
        self.report.stored += stored.rows
        self.report.duplicates += stored.duplicates
        self._advance(size)
