"""A stream of messages, the same for the same seed: users view, click, add to cart and buy, ten events per session.

Invalid messages cannot be decoded to an event. Repeated ones are sent twice, reordered ones later
than their timestamp.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2025, 11, 30, 20, tzinfo=UTC)  # so that a few thousand events reach into December
TYPES, WEIGHTS = ("view", "click", "add_to_cart", "purchase"), (65, 15, 13, 7)
SESSION_EVENTS = 10
OPEN_SESSIONS = 25
CATEGORIES = ("Kitchen", "Kitchen/Tea", "Garden")
Message = dict[str, Any] | bytes


def mixed(
    seed: int = 1, *, ids: bool = True, repeated: float = 0.0, reordered: float = 0.0, invalid: float = 0.0
) -> Iterator[Message]:
    """An endless stream. The ratios are of all messages."""
    rng = random.Random(seed)
    events = _events(rng, f"s{seed}-", ids=ids)
    late: list[Message] = []
    before: list[Message] = []
    for number, event in enumerate(events):
        if rng.random() < reordered:
            late.append(event)
        else:
            before.append(event)
            yield event
        if late and rng.random() < 0.05:
            yield late.pop(0)
        if ids and rng.random() < repeated:
            yield rng.choice(before[-300:])
        if rng.random() < invalid:
            yield _invalid(rng, number)
        del before[:-300]


def _events(rng: random.Random, name: str, *, ids: bool) -> Iterator[dict[str, Any]]:
    sessions = [[number, 0] for number in range(OPEN_SESSIONS)]
    next_session = OPEN_SESSIONS
    number = 0
    while True:
        session = rng.choice(sessions)
        yield _event(rng, name, session[0], number, ids=ids)
        number += 1
        session[1] += 1
        if session[1] == SESSION_EVENTS:
            session[:] = [next_session, 0]
            next_session += 1


def _event(rng: random.Random, name: str, session: int, number: int, *, ids: bool) -> dict[str, Any]:
    item = rng.randrange(200)
    event: dict[str, Any] = {
        "event_type": rng.choices(TYPES, WEIGHTS)[0],
        "user_id": f"{name}u{session * 7 % 97}",
        "session_id": f"{name}{session}",
        "item_id": f"i{item}",
        "category": CATEGORIES[item % 3],
        "timestamp": (START + timedelta(seconds=5 * number, milliseconds=number % 1000)).isoformat(),
    }
    if ids:
        event["event_id"] = f"{name}e{number}"
    if event["event_type"] == "purchase":
        event |= {"order_id": f"{name}o{session}", "order_size": rng.randrange(1, 9)}
        event |= {"price": rng.randrange(100, 9999) / 100, "quantity": rng.randrange(1, 4)}
    elif number % 50 == 0:
        event["properties"] = {"page": number, "place": f"Service {number % 3}"}
    return event


def _invalid(rng: random.Random, number: int) -> Message:
    event: dict[str, Any] = {"event_type": "view", "user_id": f"p{number}", "item_id": "i1", "event_id": f"p{number}"}
    kinds: list[Message] = [
        b"\xff\xfe no text",
        b'{"event_type": "view", "user_id"',
        b"",
        event | {"event_type": "stare"},
        event | {"user_id": ""},
        event | {"quantity": -1},
        event | {"timestamp": "2999-01-01T00:00:00Z"},
        event | {"colour": "red"},
    ]
    return rng.choice(kinds)
