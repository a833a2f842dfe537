"""What refunds leave of a stream of events, from their definition: piece by piece, the reference for the writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from alsobought.events import Event


@dataclass
class Piece:
    line: int
    order_id: str
    item_id: str
    time: datetime
    is_refunded: bool = False


def without_refunded(events: Sequence[Event]) -> list[Event]:
    """The events in order of arrival, without refunds; purchases with the pieces that are left, or as refunded ones."""
    changed = list(events)
    for user in {event.user_id for event in events}:
        numbered = [(number, event) for number, event in enumerate(events) if event.user_id == user]
        pieces = [
            Piece(number, event.order_id, event.item_id, _time(event))
            for number, event in numbered
            if event.event_type == "purchase"
            for _ in range(max(1, pieces_of(event)))
        ]
        refunds = sorted(
            (event for _, event in numbered if event.event_type == "refund"),
            key=_time,
        )
        for event in [event for event in refunds if event.order_id]:
            found = [one for one in reversed(pieces) if one.order_id == event.order_id]
            _refund([one for one in found if event.item_id in ("", one.item_id)], event.quantity)
        for event in [event for event in refunds if not event.order_id]:
            earlier = [
                one
                for one in pieces
                if one.item_id == event.item_id and one.time <= _time(event) and not one.is_refunded
            ]
            earlier.sort(key=lambda one: (one.time, one.line), reverse=True)
            newest = [one for one in earlier if one.line == earlier[0].line]
            _refund(newest if event.quantity is msgspec.UNSET else earlier, event.quantity)
        for number, event in numbered:
            if event.event_type == "purchase":
                changed[number] = _left(event, [one for one in pieces if one.line == number])
    return [event for event in changed if event.event_type != "refund"]


def pieces_of(event: Event) -> int:
    return 1 if event.quantity is msgspec.UNSET else event.quantity


def _refund(pieces: Sequence[Piece], quantity: int | msgspec.UnsetType) -> None:
    left = [one for one in pieces if not one.is_refunded]
    for one in left if quantity is msgspec.UNSET else left[:quantity]:
        one.is_refunded = True


def _left(event: Event, pieces: Sequence[Piece]) -> Event:
    refunded = sum(one.is_refunded for one in pieces)
    if refunded == len(pieces):
        return msgspec.structs.replace(event, event_type="refunded_purchase")
    return msgspec.structs.replace(event, quantity=pieces_of(event) - refunded)


def _time(event: Event) -> datetime:
    assert isinstance(event.timestamp, datetime)
    return event.timestamp
