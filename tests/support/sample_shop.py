"""The toy shop with all that pipes may ask for, and requests to every pipe."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from alsobought.demo import toyshop
from alsobought.events import Event, Rules, read_events
from alsobought.items import Item, read_items
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.pipe import Pipe
from alsobought.users import User, read_users

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PLACES = ("Finland/Turku", "Finland/Oulu", "Norway/Bergen")
VARIANTS = {
    "matcha": "tea-powder",
    "green-tea": "tea-powder",
    "moka-pot": "coffee-maker",
    "french-press": "coffee-maker",
}
OWNED = {"cat-bowl": "cleo", "puzzle-mat": "bruno", "basil-seeds": "ada"}
TOGETHER = 6  # parameters of a request
VALUES: dict[str, list[Any]] = {
    "item_id": ["green-tea", "espresso-beans", "dark-chocolate", "never-seen"],
    "user_id": ["ada", "bruno", "cleo", "nobody"],
    "category": ["Kitchen"],
    "brand": ["Sora"],
    "tags": ["organic"],
    "exclude": ["teapot"],
    "currency": ["EUR"],
    "max_price": [12.0],
    "min_price": [6.0],
    "language": ["de-AT"],
    "segment": ["plan:pro"],
    "place": ["Finland"],
    "words": ["tea", "paper"],
    "per_category": [1],
    "diversity": [0.4],
    "explore": [0.5],
    "limit": [3],
}


def items() -> list[Item]:
    rows = []
    for number, item in enumerate(toyshop.items()):
        more: dict[str, Any] = {
            "titles": {"de": f"{item['title']} (de)"},
            "tags": ["organic"] if number % 3 == 0 else [],
        }
        if group := VARIANTS.get(item["item_id"]):
            more["group_id"] = group
        if owner := OWNED.get(item["item_id"]):
            more["owner"] = owner
        rows.append(msgspec.json.encode(item | more | {"currency": "EUR", "embedding": [1.0, number % 5, number % 7]}))
    accepted, rejected = read_items(rows, 100_000)
    assert not rejected
    return accepted


def users() -> list[User]:
    names = sorted({event.user_id for event in events(2_000) if event.user_id})
    rows = [
        {"user_id": name, "attributes": {"plan": "pro" if number % 3 else "free"}} for number, name in enumerate(names)
    ]
    accepted, rejected = read_users([msgspec.json.encode(row) for row in rows], 100_000, NOW)
    assert not rejected
    return accepted


def events(most: int) -> list[Event]:
    """The newest of the toy shop's, some of them at places, and of items that the catalogue lacks."""
    rows = []
    for number, event in enumerate(list(toyshop.history(NOW))[-most:]):
        more = {"properties": {"place": PLACES[number % 3]}} if number % 2 else {}
        rows.append(
            msgspec.json.encode(event | more | ({"item_id": f"unlisted-{number % 5}"} if number % 97 == 0 else {}))
        )
    accepted, rejected = read_events(rows, Rules(NOW))
    assert not rejected
    return accepted


def requests(pipe: Pipe) -> Iterator[dict[str, Any]]:
    """With several values of what is required, and with each other parameter, a few at a time."""
    required = {parameter.name: _values(parameter) for parameter in pipe.parameters if parameter.required}
    least = {name: values[0] for name, values in required.items()}
    yield least
    yield {name: values[1 % len(values)] for name, values in required.items()}
    if (
        any(parameter.name == "item_id" and parameter.repeated for parameter in pipe.parameters)
        or pipe.header.key == "item_id"
    ):
        yield least | {"item_id": VALUES["item_id"]}
    others = [parameter for parameter in pipe.parameters if not parameter.required]
    for start in range(0, len(others), TOGETHER):
        yield least | {parameter.name: _values(parameter)[0] for parameter in others[start : start + TOGETHER]}


def _values(parameter: Parameter) -> list[Any]:
    sample = parameter.sample()
    text = sample.isoformat() if isinstance(sample, date) else sample  # as a request has it; a datetime is a date
    return VALUES.get(parameter.name) or list(parameter.choices) or [text]
