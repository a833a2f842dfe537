"""What belongs together: the purchases of an order, the other events of a session, or those of a day.

The views group by the same ids, always together with the user: `order_items` purchases by order_id, `session_items` views by
session_id. Events without the id are in no group of theirs; here they are one basket per user and day (UTC).
"""

from __future__ import annotations

from datetime import datetime

from alsobought.events import Event

PURCHASE = "purchase"
Basket = tuple[str, str]
"""(order, session or day; user). The views know the user first: cityHash64(user_id, order_id)."""


def user_of(event: Event) -> str:
    """The user_id under which an event is stored: of a guest, the session_id."""
    return event.user_id or event.session_id


def group_of(event: Event) -> str:
    """The order of a purchase, the session of any other event; empty if it has none."""
    return event.order_id if event.event_type == PURCHASE else event.session_id


def basket_of(event: Event, time: datetime) -> Basket:
    """
    >>> basket_of(Event(event_type="play", item_id="song", user_id="ada"), datetime(2026, 1, 2))
    ('2026-01-02', 'ada')
    """
    return group_of(event) or f"{time:%Y-%m-%d}", user_of(event)
