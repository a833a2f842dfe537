"""What browsers, backends, webhooks and feeds post, in the shapes that real ones have."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.conftest import NOON
from tests.inputs.conftest import PAGE, Live
from tests.support.process import write

PLACEHOLDERS = ("undefined", "null", "[object Object]", "00000000-0000-0000-0000-000000000000", "0", "anonymous")


def purchase(user: str, order: str, item: str, **more: Any) -> dict[str, Any]:
    return {"event_type": "purchase", "user_id": user, "order_id": order, "item_id": item, **more}


def test_calls_of_a_webhook_destination_in_place_of_events_and_in_an_archive(live: Live) -> None:
    seen: dict[str, Any] = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "n-01",
        "anonymousId": "dev-5",
        "userId": "nora",
    }
    seen |= {"timestamp": "2026-01-09T08:00:00.000Z", "context": {"library": {"name": "analytics.js"}}}
    seen |= {"properties": {"product_id": "vase-1", "price": 24.5}}
    products = [{"product_id": "vase-1", "price": "24.50", "quantity": 1}, {"product_id": "rose-2", "quantity": 3}]
    order: dict[str, Any] = {"type": "track", "event": "Order Completed", "messageId": "n-02", "userId": "nora"}
    order |= {"timestamp": "2026-01-09T08:05:00Z", "properties": {"order_id": "r-4", "products": products}}
    viewed: dict[str, Any] = {"type": "track", "event": "Product Viewed", "messageId": "n-03", "userId": "nora"}
    viewed |= {"timestamp": "2026-01-09T08:10:00Z", "properties": {"product_id": "vase-1"}}
    identify = {"type": "identify", "userId": "nora", "messageId": "n-04", "traits": {"plan": "x"}}
    batch = {
        "batch": [viewed, identify, {"type": "page", "userId": "nora", "name": "Home"}],
        "sentAt": "2026-01-09T08:11:00Z",
    }
    assert live.post("events", seen)["accepted"] == 1
    assert live.post("events", order)["accepted"] == 2
    answer = live.post("events", batch)
    assert (answer["accepted"], answer["skipped_calls"]) == (1, ["identify", "page"])
    assert live.events_of("nora", "event_type", "item_id", "session_id", "order_id", "order_size", "quantity", "price") == [
        ("view", "vase-1", "dev-5", "", 0, 1, 24.5),
        ("purchase", "vase-1", "", "r-4", 2, 1, 24.5),
        ("purchase", "rose-2", "", "r-4", 2, 3, 0),
        ("view", "vase-1", "", "", 0, 1, 0),
    ]  # fmt: skip
    ran = live.run("load", "events", write(live.folder / "archive.ndjson", seen, order).name)
    assert ran.out == "archive.ndjson: 0 events stored, 3 duplicates, 0 rejected\n"


def test_null_is_not_given_and_numbers_are_ids_and_prices(live: Live) -> None:
    accepted = [
        {"event_type": "view", "user_id": None, "session_id": "b2-s1", "item_id": "b2-lamp"},
        purchase("b2-ann", "b2-1", "b2-lamp", price=None, category=None, properties=None, timestamp=None),
        {"event_type": "view", "user_id": 202, "item_id": 2002},
        purchase("b2-ann", "b2-2", "b2-lamp", price="19.90", quantity="2"),
        purchase("b2-ann", "b2-3", "b2-ham", quantity=0.348, price=21.9),
    ]
    for event in accepted:
        assert live.post("events", event)["accepted"] == 1, event
    assert live.events_of("202", "item_id") == ["2002"]
    assert live.events_of("b2-s1", "user_id", "item_id") == [("b2-s1", "b2-lamp")]
    assert live.events_of("b2-ann", "order_id", "quantity", "price", "category") == [
        ("b2-1", 1, 0, ""),
        ("b2-2", 2, 19.9, ""),
        ("b2-3", 1, 7.6212, ""),
    ]
    bowl = {"item_id": "b2-bowl", "title": "Bowl", "category": "B2/Decor", "brand": None, "price": None, "image": None}
    assert live.post("items", bowl)["accepted"] == 1
    assert live.ask("all_items?category=B2", "item_id", "title", "price") == [("b2-bowl", "Bowl", 0)]


def test_guests_among_users_in_one_body(live: Live) -> None:
    people = [("b3-kim", "b3-s1"), (None, "b3-s2"), (None, "b3-s3"), ("b3-lee", "b3-s4")]
    lines = [
        json.dumps({"event_type": "view", "user_id": user, "session_id": session, "item_id": "b3-cup"})
        for user, session in people
    ]
    answer = live.post("events", "\n".join(lines))
    assert (answer["accepted"], answer["rejected_total"]) == (4, 0)
    assert [len(live.events_of(user, "item_id", "session_id")) for user in ("b3-kim", "b3-s2", "b3-s3", "b3-lee")] == [
        1,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("time", "stored"),
    [
        (1_767_949_200_000, "2026-01-09T09:00:00.000Z"),
        (1_767_949_200, "2026-01-09T09:00:00.000Z"),
        ("Fri, 09 Jan 2026 09:00:00 GMT", "2026-01-09T09:00:00.000Z"),
        ("2026-01-09T10:00:00+01:00", "2026-01-09T09:00:00.000Z"),
    ],
)
def test_times_as_javascript_and_http_write_them(live: Live, time: Any, stored: str) -> None:
    user = f"b4-{time}"
    live.post("events", {"event_type": "view", "user_id": user, "item_id": "b4-cup", "timestamp": time})
    assert live.events_of(user, "timestamp") == [stored]


def test_bodies_as_they_are_transported(live: Live) -> None:
    def send(event: str, **headers: str) -> tuple[int, Any]:
        packed = {"gzip": gzip.compress(event.encode()), "deflate": zlib.compress(event.encode())}
        body = packed.get(headers.get("Content_Encoding", ""), event.encode())
        return live.send("POST", "/events", body, **headers)

    event = json.dumps({"event_type": "view", "session_id": "b5-s", "item_id": "b5-lamp"})
    for encoding in ("gzip", "deflate"):
        assert send(event, Content_Type="application/json", Content_Encoding=encoding)[0] == 202
    beacon = {"Content_Type": "text/plain;charset=UTF-8"}
    assert send(event, **beacon, Origin=PAGE)[0] == 202
    status, answer = send(event, **beacon, Origin="https://other.example")
    assert (status, answer["error"]["hint"]) == (403, "Add the origin to ALSOBOUGHT_CORS, or use a browser key")
    status, answer = send("event_type=view&session_id=b5-s&item_id=b5-lamp")
    problem = 'a form, not JSON; send an object such as {"event_type": "view", …}'
    assert (status, answer["error"]["details"]) == (400, [{"param": "[0]", "problem": problem}])
    live.post("events", {"event_type": "view", "session_id": "b5-s", "item_id": "b5-last"})
    assert live.events_of("b5-s", "item_id") == ["b5-lamp"] * 3 + ["b5-last"]


def test_what_a_page_sends_before_it_knows_an_id_is_nobodys(live: Live) -> None:
    views = [{"event_type": "view", "session_id": "undefined", "item_id": f"b6-{item}"} for item in ("diary", "atlas")]
    for view in views:
        assert live.send("POST", "/events", json.dumps(view).encode())[0] == 400
    live.post("events", {"event_type": "view", "user_id": "b6-eva", "item_id": "b6-pen"})
    for guest in PLACEHOLDERS:
        merge = json.dumps({"guest_id": guest, "user_id": "b6-eva"}).encode()
        status, answer = live.send("POST", "/users/merge", merge)
        message = f"guest_id: {guest!r} is a placeholder, not a user"
        assert (status, answer["error"]["message"]) == (400, message)
    assert live.ask("recently_viewed?user_id=b6-eva&limit=5", "item_id") == ["b6-pen"]
    exported = json.loads(live.run("export", "b6-eva").out)
    assert [event["item_id"] for event in exported["events"]] == ["b6-pen"]


def test_a_feed_of_stock_or_prices_changes_nothing_else(live: Live) -> None:
    kettle = {"item_id": "b7-kettle", "title": "Kettle", "category": "B7/Kettles", "brand": "Acme", "price": 30}
    live.post("items", [kettle, {"item_id": "b7-cup", "title": "Cup", "category": "B7/Cups", "price": 5}])
    for number in range(3):
        live.post("events", [purchase(f"b7-u{number}", f"b7-{number}", f"b7-{item}") for item in ("kettle", "cup")])

    def beside(item: str) -> Any:
        return live.ask(f"also_bought?item_id={item}&limit=1", "other_item_id", "title", "category", "price")[0]

    full = ("b7-kettle", "Kettle", "B7/Kettles", 30)
    assert beside("b7-cup") == full
    live.post("items", {"item_id": "b7-kettle", "available": False})
    assert beside("b7-cup")[0] != "b7-kettle"
    live.post("items", {"item_id": "b7-kettle", "available": True})
    assert beside("b7-cup") == full
    assert live.ask("find_items?words=kettle&limit=3", "item_id", "title") == [("b7-kettle", "Kettle")]
    assert live.ask("popular?category=B7/Kettles&limit=1", "item_id", "purchases") == [("b7-kettle", 3)]
    assert live.send("GET", "/items/b7-kettle")[1]["brand"] == "Acme"
    live.post("items", {"item_id": "b7-cup", "price": 6})
    assert beside("b7-kettle") == ("b7-cup", "Cup", "B7/Cups", 6)


def test_a_price_does_not_make_a_sold_out_product_available(live: Live) -> None:
    pan = {"item_id": "b8-pan", "title": "Pan", "category": "B8", "price": 30, "available": False}
    live.post("items", [pan, {"item_id": "b8-lid", "title": "Lid", "category": "B8", "price": 9}])
    live.post("events", [purchase("b8-u", "b8-1", "b8-pan"), purchase("b8-u", "b8-1", "b8-lid")])
    shown = "also_bought?item_id=b8-lid&limit=5"
    assert "b8-pan" not in live.ask(shown, "other_item_id")
    live.post("items", {"item_id": "b8-pan", "price": 28})
    assert "b8-pan" not in live.ask(shown, "other_item_id")
    live.post("items", {"item_id": "b8-pan", "available": True})
    first = live.ask(shown, "other_item_id", "title", "price")[0]
    assert first == ("b8-pan", "Pan", 28)


def test_a_product_that_is_sold_out_or_deleted_is_on_no_list_at_once(live: Live) -> None:
    live.post("items", [{"item_id": f"b9-{name}", "title": name, "category": "B9"} for name in "abc"])
    live.post("events", [purchase(f"b9-u{n}", f"b9-{n}", f"b9-{name}") for n in range(4) for name in "abc"])
    popular = "popular?category=B9&limit=3"
    assert sorted(live.ask(popular, "item_id", "purchases")) == [("b9-a", 4), ("b9-b", 4), ("b9-c", 4)]
    live.post("items", {"item_id": "b9-a", "available": False})
    assert sorted(live.ask(popular, "item_id")) == ["b9-b", "b9-c"]
    assert "b9-a" not in live.ask("new_items?category=B9&limit=3", "item_id")
    assert live.send("DELETE", "/items/b9-c?wait=true")[0] == 200
    assert live.ask(popular, "item_id") == ["b9-b"]
    others = live.ask("also_bought?item_id=b9-b&limit=5", "other_item_id")
    assert {"b9-a", "b9-c"}.isdisjoint(others)


def test_the_feed_of_every_night_makes_nothing_new_and_a_date_of_publication_does(
    make_shop: Callable[..., Service],
) -> None:
    now = NOON
    client = create_app(make_shop(clock=lambda: now)).test_client()
    feed: list[dict[str, Any]] = [{"item_id": "anvil", "title": "Anvil"}, {"item_id": "bellows", "title": "Bellows"}]

    def new() -> list[tuple[str, str]]:
        assert client.post("/items?wait=true", json=feed).status_code == 200
        rows = json.loads(client.get("/pipes/new_items?limit=5").text)["data"]
        return [(row["item_id"], row["new_since"]) for row in rows if row["new_since"]]

    assert new() == []
    now += timedelta(days=60)
    assert new() == []
    feed += [
        {"item_id": "hammer"},
        {"item_id": "tongs", "published_at": "2026-02-20"},
        {"item_id": "rasp", "published_at": "1998-05-01"},
    ]
    assert new() == [("hammer", "2026-03-02"), ("tongs", "2026-02-20")]
    now += timedelta(days=25)
    assert new() == [("hammer", "2026-03-02")]


def test_what_the_catalogue_never_had_is_on_no_list_where_a_setting_says_so(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop(catalogue_only=True)).test_client()
    client.post("/items?wait=true", json=[{"item_id": "mug", "title": "Mug"}])
    lines = [purchase(f"u{n}", f"o{n}", item) for n in range(3) for item in ("mug", "POSTAGE")]
    assert client.post("/events?wait=true", json=lines).status_code == 200
    rows = json.loads(client.get("/pipes/popular").text)["data"]
    assert [row["item_id"] for row in rows] == ["mug"]


def test_what_is_sent_back_of_an_order_counts_no_more_and_may_be_offered_again(live: Live) -> None:
    """By a refund (c0) or by a negative quantity (c1)."""
    for own in ("c0", "c1"):
        live.post("items", [{"item_id": f"{own}-{item}", "title": item, "category": own} for item in ("shoe", "sock")])
        live.post("events", [purchase(f"{own}-u", f"{own}-o", f"{own}-{item}") for item in ("shoe", "sock")])
        beside = live.ask(f"also_bought?item_id={own}-sock&limit=1", "other_item_id", "baskets")
        assert beside == [(f"{own}-shoe", 1)]
    refund = purchase("c0-u", "c0-o", "c0-shoe") | {"event_type": "refund"}
    live.post("events", [refund, purchase("c1-u", "c1-o", "c1-shoe", quantity=-1)])
    for own in ("c0", "c1"):
        popular = f"popular?category={own}&limit=2&days=7"
        rows = live.ask(popular, "item_id", "purchases", "score")
        assert rows == [(f"{own}-sock", 1, 1), (f"{own}-shoe", None, 0)]
        beside = live.ask(f"also_bought?item_id={own}-sock", "other_item_id", "baskets")
        assert (f"{own}-shoe", 1) not in beside
        assert live.ask(f"{popular}&user_id={own}-u", "item_id") == [f"{own}-shoe"]
