"""A pipe with `@key` gives each key the rows that it would get alone: so requests can share a query."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.web.factory import create_app
from tests.support.project import ROOT
from tests.support.web import VIEW

ITEMS = [f"item{number}" for number in range(6)]
USERS = [f"u{number}" for number in range(4)]
VALUES = {"item_id": ITEMS, "user_id": USERS}
KEYS = {path.stem: re.search(r"^-- @key (\w+)$", path.read_text(), re.M) for path in (ROOT / "pipes").glob("*.sql")}
KEYED = sorted((name, match[1]) for name, match in KEYS.items() if match)


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    """Six items in overlapping orders and sessions, each with a title, a category and an embedding."""
    shop = make_shared_shop()
    client = create_app(shop).test_client()
    vectors = [[1.0, number / 3, (number % 3) / 2] for number in range(6)]
    client.post(
        "/items",
        json=[
            {
                "item_id": item,
                "title": item.upper(),
                "category": f"c{number % 2}",
                "price": 1 + number,
                "embedding": vectors[number],
            }
            for number, item in enumerate(ITEMS)
        ],
    )
    for order in range(12):
        lines = [
            VIEW
            | {
                "user_id": f"u{order % 4}",
                "item_id": ITEMS[(order * step) % 6],
                "session_id": f"s{order}",
                "timestamp": (shop.clock() - timedelta(days=30 - order)).isoformat(),
            }
            for step in (1, 2, 3)
        ]
        bought = [line | {"event_type": "purchase", "order_id": f"o{order}"} for line in lines]
        assert client.post("/events?wait=true", json=lines + bought).status_code == 200
    others = [
        VIEW | {"event_type": "purchase", "user_id": f"v{n}", "item_id": f"other{n}", "order_id": f"p{n}"}
        for n in range(30)
    ]
    assert client.post("/events?wait=true", json=others).status_code == 200
    reload_dictionaries(shop.warehouse)
    return shop


def test_there_are_keyed_pipes() -> None:
    assert len([key for _, key in KEYED if key == "item_id"]) >= 6
    assert len([key for _, key in KEYED if key == "user_id"]) >= 3


@pytest.mark.parametrize(("name", "key"), KEYED)
def test_rows_of_a_key_do_not_depend_on_the_other_keys(shop: Service, name: str, key: str) -> None:
    lenient = {"support": ["1"], "due": ["0"]}

    def rows(*keys: str) -> list[list[Any]]:
        """Its own rows: a fallback may arrange its rows for all lists together. Sums of floats depend on their order."""
        known = {parameter.name for parameter in shop.library[name].parameters}
        others = {other: value for other, value in lenient.items() if other in known}
        got = answer(shop.library, shop.warehouse, name, {key: list(keys), **others}, shop.clock())
        rounded = [[round(value, 9) if isinstance(value, float) else value for value in row] for row in got.data]
        return [row for row in rounded if not got.pipe.adds_source or row[-1] == name]

    together = rows(*VALUES[key])
    assert together
    column = [column for column, _ in shop.library[name].columns].index(key)
    for value in VALUES[key]:
        assert [row for row in together if row[column] == value] == rows(value), value
