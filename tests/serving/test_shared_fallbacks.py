"""Lists that many callers fill share the rows of their fallbacks: one query, whatever each list has and excludes."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.serving.answers import rows_of
from alsobought.web.factory import create_app
from tests.support.web import VIEW


@pytest.fixture
def client(shop: Service) -> FlaskClient:
    client = create_app(shop).test_client()
    bought = [
        VIEW | {"event_type": "purchase", "order_id": order, "user_id": f"u{order}", "item_id": item}
        for order, items in {"o1": "ab", "o2": "cd", "o3": "efghij"}.items()
        for item in items
    ]
    assert client.post("/events?wait=true", json=bought).status_code == 200
    return client


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pipes whose rows were queried to fill a list."""
    names: list[str] = []

    def counted(warehouse: Any, now: Any, pipe: Any, bound: Any, requested: Any) -> Any:
        if pipe is not requested:
            names.append(pipe.name)
        return rows_of(warehouse, now, pipe, bound, requested)

    monkeypatch.setattr("alsobought.serving.queries.rows_of", counted)
    return names


def items(client: FlaskClient, query: str) -> list[tuple[str, str]]:
    data = client.get(f"/pipes/also_bought?{query}").get_json()["data"]
    return [(row["other_item_id"], row["source"]) for row in data]


def test_lists_of_several_items_are_filled_from_one_query(client: FlaskClient, queries: list[str]) -> None:
    first, second = items(client, "item_id=a&limit=5"), items(client, "item_id=c&limit=5")
    assert (first[0], second[0]) == (("b", "also_bought"), ("d", "also_bought"))
    for item, filled in (("a", first), ("c", second)):
        assert len({name for name, _ in filled}) == 5
        assert item not in {name for name, _ in filled}
        assert {source for _, source in filled[1:]} == {"trending"}
    assert queries == ["trending"]


def test_what_a_list_excludes_is_left_out_of_shared_rows(client: FlaskClient, queries: list[str]) -> None:
    everything = [name for name, _ in items(client, "item_id=a&limit=9")]
    assert sorted(everything) == list("bcdefghij")
    without = [name for name, _ in items(client, "item_id=a&limit=9&exclude=c,e")]
    assert without[:7] == [name for name in everything if name not in ("c", "e")]
    assert queries.count("trending") == 1


def test_rows_of_a_fallback_are_queried_again_after_an_event(client: FlaskClient, queries: list[str]) -> None:
    assert ("new", "trending") not in items(client, "item_id=a&limit=10")
    event = VIEW | {"event_type": "purchase", "user_id": "another", "item_id": "new"}
    assert client.post("/events?wait=true", json=event).status_code == 200
    assert ("new", "trending") in items(client, "item_id=c&limit=10")
    assert queries.count("trending") == 2


def test_a_filter_of_the_request_is_one_of_the_shared_rows_too(client: FlaskClient, queries: list[str]) -> None:
    assert items(client, "item_id=a&limit=5&min_price=1") == []
    assert len(items(client, "item_id=a&limit=5")) == 5
    assert queries.count("trending") == 2
