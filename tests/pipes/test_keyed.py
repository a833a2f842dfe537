"""A pipe with `@key` gives each key the rows that it would get alone: so requests can share a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.web.factory import create_app
from tests.support.project import ROOT
from tests.support.web import VIEW

ITEMS = [f"item{number}" for number in range(6)]
KEYED = sorted(path.stem for path in (ROOT / "pipes").glob("*.sql") if "\n-- @key item_id" in path.read_text())


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
            VIEW | {"user_id": f"u{order % 4}", "item_id": ITEMS[(order * step) % 6], "session_id": f"s{order}"}
            for step in (1, 2, 3)
        ]
        bought = [line | {"event_type": "purchase", "order_id": f"o{order}"} for line in lines]
        assert client.post("/events?wait=true", json=lines + bought).status_code == 200
    others = [
        VIEW | {"event_type": "purchase", "user_id": f"v{n}", "item_id": f"other{n}", "order_id": f"p{n}"}
        for n in range(30)
    ]
    assert client.post("/events?wait=true", json=others).status_code == 200
    return shop


def test_there_are_keyed_pipes() -> None:
    assert len(KEYED) >= 6


@pytest.mark.parametrize("name", KEYED)
def test_rows_of_a_key_do_not_depend_on_the_other_keys(shop: Service, name: str) -> None:
    def rows(*items: str) -> list[list[Any]]:
        """Its own rows: a fallback may arrange its rows for all lists together."""
        lenient = {"support": ["1"]} if "support" in {p.name for p in shop.library[name].parameters} else {}
        got = answer(shop.library, shop.warehouse, name, {"item_id": list(items), **lenient}, shop.clock())
        return [row for row in got.data if not got.pipe.adds_source or row[-1] == name]

    together = rows(*ITEMS)
    assert together
    key = [column for column, _ in shop.library[name].columns].index("item_id")
    for item in ITEMS:
        assert [row for row in together if row[key] == item] == rows(item), item
