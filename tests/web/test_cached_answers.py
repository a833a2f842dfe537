"""Cached answers over HTTP: an event invalidates exactly the answers about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient

from alsobought.errors import WarehouseFault
from alsobought.service.service import Service
from alsobought.serving.invalidation import Invalidator
from alsobought.web.factory import create_app
from tests.support.web import VIEW, buy, emptied


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop()


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied."""
    return emptied(filled)


@pytest.fixture
def _nothing_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock: a list filled by trending has the short lifetime of trending."""
    monkeypatch.setattr("alsobought.serving.cache.time", SimpleNamespace(monotonic=lambda: 0.0))


def partners(client: FlaskClient, item: str, limit: int = 10, headers: dict[str, str] | None = None) -> list[str]:
    """With as many partners as the limit there is no fallback, so that no other event makes the answer stale."""
    got = client.get(f"/pipes/also_bought?item_id={item}&limit={limit}", headers=headers)
    body = json.loads(got.text)
    return sorted(row["other_item_id"] for row in body["data"] if row["source"] == "also_bought")


def for_you(client: FlaskClient, user: str) -> set[str]:
    body = json.loads(client.get(f"/pipes/for_you?user_id={user}&limit=1").text)
    return {row["item_id"] for row in body["data"] if row["source"] == "for_you"}


def introduce(client: FlaskClient, *items: str) -> None:
    """Call it before an answer is cached: an id that was never seen invalidates twice, also when the catalogue has it."""
    client.post("/events?wait=true", json=[VIEW | {"user_id": "first", "item_id": item} for item in items])


def forget_all_pairs(shop: Service) -> None:
    """Without invalidation: an answer that still has pairs came from the cache."""
    for table in ("co_baskets", "item_companions", "item_wanted"):
        shop.warehouse.command(f"truncate table {shop.warehouse.database}.{table}")


@pytest.mark.usefixtures("_nothing_expires")
def test_an_event_invalidates_answers_about_its_items_only(client: FlaskClient, shop: Service) -> None:
    introduce(client, "tea", "mug", "lamp", "bulb", "honey")
    buy(client, "o1", "tea", "mug")
    buy(client, "o2", "lamp", "bulb")
    assert (partners(client, "tea", 1), partners(client, "lamp", 1)) == (["mug"], ["bulb"])
    forget_all_pairs(shop)
    assert (partners(client, "tea", 1), partners(client, "lamp", 1)) == (["mug"], ["bulb"])
    buy(client, "o3", "tea", "honey")
    assert partners(client, "tea", 1) == ["honey"]
    assert partners(client, "lamp", 1) == ["bulb"]


@pytest.mark.usefixtures("_nothing_expires")
def test_only_the_event_types_of_the_header_invalidate_by_its_parameter(client: FlaskClient, shop: Service) -> None:
    introduce(client, "tea", "mug")
    buy(client, "o1", "tea", "mug")
    alone, for_ada = "/pipes/also_bought?item_id=tea&limit=1", "/pipes/also_bought?item_id=tea&limit=1&user_id=ada"

    def cached(url: str) -> bool:
        return client.get(url).headers["Cache-Status"].endswith("hit")

    assert (cached(alone), cached(for_ada)) == (False, False)
    client.post("/events?wait=true", json=VIEW | {"user_id": "bob", "item_id": "tea"})
    assert (cached(alone), cached(for_ada)) == (True, True)
    client.post("/events?wait=true", json=VIEW | {"user_id": "ada", "item_id": "mug"})
    assert (cached(alone), cached(for_ada)) == (True, False)
    client.post("/events?wait=true", json=VIEW | {"user_id": "bob", "item_id": "tea", "event_type": "purchase"})
    assert (cached(alone), cached(for_ada)) == (False, False)


@pytest.mark.usefixtures("_nothing_expires")
def test_an_answer_filled_by_a_pipe_that_any_event_invalidates_is_invalidated_by_any_event(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    introduce(client, "tea", "mug")
    buy(client, "o1", "tea", "mug")
    entry = shop.library.entry("also_bought")
    assert entry.pipe
    monkeypatch.setattr(entry, "pipe", replace(entry.pipe, header=replace(entry.pipe.header, cache_events=())))
    url = "/pipes/complementary?item_id=tea&limit=1"
    assert json.loads(client.get(url).text)["data"][0]["source"] == "also_bought"
    assert client.get(url).headers["Cache-Status"].endswith("hit")
    client.post("/events?wait=true", json=VIEW | {"user_id": "bob", "item_id": "tea"})
    assert not client.get(url).headers["Cache-Status"].endswith("hit")


def test_a_late_order_line_invalidates_answers_about_earlier_lines(client: FlaskClient) -> None:
    introduce(client, "tea", "mug", "spoon")
    buy(client, "o1", "tea", "mug")
    assert partners(client, "tea") == ["mug"]
    buy(client, "o1", "spoon")
    assert partners(client, "tea") == ["mug", "spoon"]


def restarted(shop: Service) -> FlaskClient:
    """The endpoints of the same warehouse after a restart: no orders in memory, an empty cache."""
    shop.cache.clear()
    shop.writers[0].on_stored = Invalidator(shop.warehouse, shop.cache)
    return create_app(shop).test_client()


def test_after_a_restart_a_late_order_line_invalidates_answers_about_earlier_lines(
    client: FlaskClient, shop: Service
) -> None:
    introduce(client, "tea", "mug", "spoon", "cup")
    buy(client, "o1", "tea", "mug")
    client = restarted(shop)
    assert (partners(client, "tea"), partners(client, "mug")) == (["mug"], ["tea"])
    buy(client, "o1", "spoon")
    assert (partners(client, "tea"), partners(client, "mug")) == (["mug", "spoon"], ["spoon", "tea"])
    buy(client, "o1", "cup")
    assert (partners(client, "tea"), partners(client, "spoon")) == (["cup", "mug", "spoon"], ["cup", "mug", "tea"])


def test_an_order_that_grew_while_the_cache_was_empty_is_read_completely_later(
    client: FlaskClient, shop: Service
) -> None:
    introduce(client, "tea", "mug", "spoon", "cup")
    buy(client, "o1", "tea", "mug")
    client = restarted(shop)
    buy(client, "o1", "spoon")
    assert partners(client, "tea") == ["mug", "spoon"]
    buy(client, "o1", "cup")
    assert partners(client, "tea") == ["cup", "mug", "spoon"]


def test_many_orders_later_a_late_order_line_still_invalidates_earlier_lines(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.serving.invalidation.MAX_ORDERS", 2)
    introduce(client, "tea", "mug", "spoon")
    buy(client, "o1", "tea", "mug")
    for order in ("o2", "o3", "o4"):
        buy(client, order, "cup")
    assert partners(client, "tea") == ["mug"]
    buy(client, "o1", "spoon")
    assert partners(client, "tea") == ["mug", "spoon"]


@pytest.mark.usefixtures("_nothing_expires")
def test_the_same_order_id_of_another_user_is_another_order(client: FlaskClient, shop: Service) -> None:
    introduce(client, "tea", "mug", "spoon")
    buy(client, "o1", "tea", "mug", user="ada")
    client = restarted(shop)
    assert partners(client, "tea", 1) == ["mug"]
    forget_all_pairs(shop)
    buy(client, "o1", "spoon", user="bob")
    assert partners(client, "tea", 1) == ["mug"], "its item had no event"


def test_unreadable_orders_clear_the_cache_and_the_batch_is_stored(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    introduce(client, "tea", "mug", "spoon")
    buy(client, "o1", "tea", "mug")
    client = restarted(shop)
    assert partners(client, "tea") == ["mug"]

    def fail(*_: object) -> None:
        raise WarehouseFault("no")

    monkeypatch.setattr(Invalidator, "_read", fail)
    buy(client, "o1", "spoon")
    assert partners(client, "tea") == ["mug", "spoon"]


def test_an_event_invalidates_answers_about_its_user_only(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.serving.cache.time", SimpleNamespace(monotonic=lambda: 0.0))  # nothing expires
    introduce(client, "tea", "mug", "lamp", "bulb", "shade")
    buy(client, "o1", "tea", "mug", user="someone")
    buy(client, "o2", "lamp", "bulb", user="someone")
    for user in ("ada", "bob"):
        client.post("/events", json=VIEW | {"user_id": user})
        assert for_you(client, user) == {"mug"}
    forget_all_pairs(shop)
    buy(client, "o3", "lamp", "shade", user="someone")
    client.post("/events", json=VIEW | {"user_id": "ada", "item_id": "lamp"})
    assert for_you(client, "ada") == {"shade"}
    assert for_you(client, "bob") == {"mug"}


def test_no_cache_bypasses_the_cache(client: FlaskClient, shop: Service) -> None:
    buy(client, "o1", "tea", "mug")
    assert partners(client, "tea") == ["mug"]
    forget_all_pairs(shop)
    assert partners(client, "tea") == ["mug"]
    assert partners(client, "tea", headers={"Cache-Control": "no-cache"}) == []
    assert partners(client, "tea") == [], "its result replaced the cached one"


def test_a_cached_answer_has_the_request_id_of_its_own_request(client: FlaskClient) -> None:
    ids = [
        json.loads(client.get("/pipes/trending", headers={"X-Request-Id": request_id}).text)["request_id"]
        for request_id in ("a", "b")
    ]
    assert ids == ["a", "b"]


def test_an_answer_with_fallbacks_is_cached_for_the_shortest_of_their_lifetimes(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the fallback had no rows: it may have some soon."""
    clock = [1000.0]
    monkeypatch.setattr("alsobought.serving.cache.time", SimpleNamespace(monotonic=lambda: clock[0]))
    assert json.loads(client.get("/pipes/also_bought?item_id=tea").text)["rows"] == 0
    client.post("/events?wait=true", json=VIEW | {"item_id": "lamp"})
    clock[0] += 1
    assert json.loads(client.get("/pipes/also_bought?item_id=tea").text)["pipe"]["fallback"] == "trending"


def test_other_parameters_are_cached_separately(client: FlaskClient) -> None:
    buy(client, "o1", "tea", "mug", "spoon")
    rows = [json.loads(client.get(f"/pipes/also_bought?item_id=tea&limit={n}").text)["rows"] for n in (2, 1, 2)]
    assert rows == [2, 1, 2]


@pytest.mark.usefixtures("_nothing_expires")
def test_an_answer_about_an_item_and_a_user_is_invalidated_by_either(client: FlaskClient) -> None:
    introduce(client, "tea", "mug", "pot")
    for order, other in (("o1", "mug"), ("o2", "pot")):
        buy(client, order, "tea", other, user="bob")
    path = "/pipes/also_bought?item_id=tea&user_id=ada&leave_out=bought&limit=2"

    def shown() -> set[str]:
        return {row["other_item_id"] for row in json.loads(client.get(path).text)["data"]}

    assert shown() == {"mug", "pot"}
    buy(client, "o3", "mug", user="ada")
    assert shown() == {"pot"}
