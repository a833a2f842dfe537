"""How many pairs of items events may add to the counts: what a batch costs in time and memory, far more than its rows.

Each event pairs with those near it in its order, its session and of its user. An order of 50,000 lines makes 10 million pairs in
one batch, and took 2 GB; in parts it takes a few hundred MB. The counts are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace

from alsobought.events import Event
from alsobought.writer.submission import Stored, Submission, settle

MAX_PAIRS = 3_000_000  # of a batch: about 400 MB
ORDER_WINDOW, GROUP_WINDOW = 100, 20  # as the views have them: ranks within which two items of a group pair
FEW_ROWS = 1_000  # cannot make too many pairs


class PairCount:
    """The pairs of events that are added one after the other."""

    def __init__(self) -> None:
        self.pairs = 0
        self._orders: dict[str, int] = {}
        self._groups: dict[str, int] = {}

    def add(self, events: Sequence[Event]) -> None:
        for event in events:
            self.add_one(event)

    def add_one(self, event: Event) -> None:
        if order := event.order_id:
            before = self._orders.get(order, 0)
            self._orders[order] = before + 1
            self.pairs += 2 * min(before, ORDER_WINDOW)
        group = event.session_id or event.user_id
        before = self._groups.get(group, 0)
        self._groups[group] = before + 1
        self.pairs += 2 * min(before, GROUP_WINDOW)


def parts_of(submission: Submission) -> list[Submission]:
    """The submission, or if it makes too many pairs parts of it, each of which is stored after the one before it.

    The future of the whole has the sum of their outcomes, or the exception of the first that failed.
    """
    if len(submission.rows) <= FEW_ROWS or submission.kind != "event":
        return [submission]
    cuts = list(_cuts(submission.rows))  # type: ignore[arg-type]
    if not cuts:
        return [submission]
    parts: list[Submission] = []
    for first, end in zip([0, *cuts], [*cuts, len(submission.rows)], strict=True):
        after = parts[-1].done if parts else submission.after
        parts.append(_part(submission, first, end, after))
    parts[-1].done.add_done_callback(lambda _: settle(submission.done, [part.done for part in parts]))
    return parts


def _cuts(events: Sequence[Event]) -> Iterator[int]:
    """Where a part ends since it has enough pairs."""
    count = PairCount()
    for index, event in enumerate(events):
        if count.pairs >= MAX_PAIRS:
            yield index
            count = PairCount()
        count.add_one(event)


def _part(whole: Submission, first: int, end: int, after: Future[Stored] | None) -> Submission:
    return replace(
        whole,
        rows=whole.rows[first:end],
        offsets=None if whole.offsets is None else whole.offsets[first:end],
        sent_at=(lambda: whole.sent_at()[first:end]) if whole.sent_at else None,  # type: ignore[misc]
        size=whole.size * (end - first) // len(whole.rows),
        after=after,
        done=Future(),
    )
