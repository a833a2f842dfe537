"""Refunds: which purchases they take back. Pure but for `read_lines`.

A line is an event of type `purchase`, and its quantity are its pieces (0 counts as one). A refund takes back pieces of the same
user's lines:

1. A refund that names an order takes back lines of that order: with an item, of that item; so many pieces as its quantity, or,
   without one, all of them. The newest line comes first.
2. A refund that names no order takes back so many pieces of the item, or, without a quantity, those of its newest line. So does a
   purchase with a negative quantity whose order has no line of the item, since receipts of returns have numbers of their own. Only
   lines that were bought no later than the refund count, and the newest comes first.

Refunds with an order come first, and among others the older one. What a refund cannot take back waits: for a line that arrives
later. All this is a function of the user's events, whatever the order in which they arrive, and applying it twice changes nothing.

A line of which pieces are left stays a purchase, with the others in `refunded`; one of which none are left becomes a
`refunded_purchase`. The count tables are functions of `events`, so they equal a recompute without what was taken back: ranks and
limits of pairs are those of the lines that are left.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from alsobought.events import REFUND, REFUNDED_PURCHASE
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.rows import EventRow

PURCHASE = "purchase"
ALL = math.inf


class Line(NamedTuple):
    """A purchase, refunded or not, or a refund. `time` in milliseconds; a `negative` one was sent as a purchase."""

    user_id: str
    seq: int
    time: int
    event_type: str
    order_id: str
    item_id: str
    quantity: int
    refunded: int
    negative: bool = False

    def as_row(self, now: datetime) -> EventRow:
        """A purchase as a row of `events`, for what a purchase makes out of date."""
        happened_at = datetime.fromtimestamp(self.time / 1000, UTC)
        columns = (self.user_id, self.item_id, happened_at, "", 0, 0, 0, 0, now, self.seq, self.quantity)
        return EventRow("", PURCHASE, *columns, order_id=self.order_id)


class RefundedLine(msgspec.Struct, frozen=True, array_like=True):
    """How the event with this seq is to be stored."""

    seq: int
    event_type: str
    refunded: int


def read_lines(warehouse: Warehouse, users: Collection[str]) -> list[Line]:
    """The purchases and refunds of these users. Raises WarehouseFault."""
    sql = f"""
        select user_id, seq, toUnixTimestamp64Milli(timestamp), event_type, order_id, item_id, quantity, refunded,
            event_type = '{REFUND}' and JSONExtractFloat(properties, 'quantity') < 0
        from {warehouse.database}.events
        where user_id in ({select_list("users")}) and event_type in ('{PURCHASE}', '{REFUND}', '{REFUNDED_PURCHASE}')
    """
    return [Line(*row) for row in warehouse.trusted_rows(sql, {"users": list_parameter(users)}).data]


def refunded_lines(lines: Iterable[Line]) -> list[RefundedLine]:
    """The purchases that are stored differently from what the refunds make of them.

    >>> shoe = Line("ada", 1, 0, "purchase", "o1", "shoe", 2, 0)
    >>> refunded_lines([shoe, Line("ada", 2, 9, "refund", "o1", "", 0, 0)])
    [RefundedLine(seq=1, event_type='refunded_purchase', refunded=2)]
    >>> refunded_lines([shoe, Line("ada", 2, 9, "refund", "", "shoe", 1, 0)])
    [RefundedLine(seq=1, event_type='purchase', refunded=1)]
    """
    by_user: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        by_user[line.user_id].append(line)
    return [change for of_user in by_user.values() for change in _changes(of_user)]


def _changes(lines: Sequence[Line]) -> Iterable[RefundedLine]:
    """The changes to the lines of one user."""
    purchases = [line for line in lines if line.event_type != REFUND]
    refunds = sorted((line for line in lines if line.event_type == REFUND), key=lambda line: (line.time, line.seq))
    left = {line.seq: max(1, line.quantity) for line in purchases}
    by_order = {(line.order_id, line.item_id) for line in purchases}
    unnamed = []
    for refund in refunds:
        if not refund.order_id or (refund.negative and (refund.order_id, refund.item_id) not in by_order):
            unnamed.append(refund)
            continue
        of_order = [line for line in purchases if line.order_id == refund.order_id]
        matching = [line for line in of_order if refund.item_id in ("", line.item_id)]
        newest_first = sorted(matching, key=lambda line: line.seq, reverse=True)
        _take(left, newest_first, refund.quantity or ALL)
    for refund in unnamed:
        earlier = [line for line in purchases if line.item_id == refund.item_id and line.time <= refund.time]
        newest_first = sorted(earlier, key=lambda line: (line.time, line.seq), reverse=True)
        remaining = [line for line in newest_first if left[line.seq]]
        _take(left, remaining, refund.quantity or (left[remaining[0].seq] if remaining else 0))
    for line in purchases:
        event_type = PURCHASE if left[line.seq] else REFUNDED_PURCHASE
        refunded = line.quantity - (left[line.seq] if line.quantity else 0)
        if (event_type, refunded) != (line.event_type, line.refunded):
            yield RefundedLine(line.seq, event_type, refunded)


def _take(left: dict[int, int], lines: Iterable[Line], pieces: float) -> None:
    """Takes so many pieces from what is left of the lines, in this order."""
    for line in lines:
        taken = int(min(pieces, left[line.seq]))
        left[line.seq] -= taken
        pieces -= taken
