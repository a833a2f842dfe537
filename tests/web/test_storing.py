"""Accepted events are stored once, whatever fails; items, and the categories of events."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.items import Item
from alsobought.service.service import Service
from alsobought.service.sinks import WriterSink
from alsobought.web.factory import create_app
from alsobought.writer.submission import Submission
from alsobought.writer.writer import Writer
from tests.support.web import AWKWARD, VIEW, emptied, error_of, rejected, stored, wrong_tables


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(queue_rows=3)


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied. Three events may wait for its writer."""
    return emptied(filled)


def test_the_same_event_id_counts_once_even_after_a_restart(make_shop: Callable[..., Service]) -> None:
    shop = make_shop()
    client = create_app(shop).test_client()
    event = VIEW | {"event_id": "e1"}
    assert [json.loads(client.post("/events", json=body).text)["duplicates"] for body in ([event, event], event)] == [
        1,
        1,
    ]
    assert stored(shop, "event_id") == ["e1"]

    shop.writer.stop()
    writer = Writer(shop.warehouse, shop.settings, shop.clock)
    restarted = replace(shop, writer=writer, sink=WriterSink(writer))
    writer.start()
    try:
        got = create_app(restarted).test_client().post("/events", json=[event, VIEW | {"event_id": "e2"}])
        assert (json.loads(got.text)["accepted"], json.loads(got.text)["duplicates"]) == (2, 1)
    finally:
        writer.stop()
    assert stored(shop, "event_id") == ["e1", "e2"]
    assert wrong_tables(shop) == {}


def test_the_same_event_id_with_another_user_or_item_is_a_duplicate(client: FlaskClient, shop: Service) -> None:
    event = VIEW | {"event_id": "e1"}
    got = client.post("/events", json=[event, event | {"user_id": "v"}, event | {"item_id": "mug"}])
    assert json.loads(got.text)["duplicates"] == 2
    assert json.loads(client.post("/events", json=event | {"user_id": "w"}).text)["duplicates"] == 1
    assert stored(shop, "user_id, item_id") == [["u", "tea"]]


def test_events_without_an_id_are_all_stored(client: FlaskClient, shop: Service) -> None:
    assert client.post("/events", json=[VIEW, VIEW]).status_code == 202
    assert client.post("/events", json=VIEW).status_code == 202
    assert stored(shop) == ["tea"] * 3
    assert len(set(stored(shop, "event_id"))) == 3


def test_concurrent_posts_are_all_stored_and_counted(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(threads=10)  # a write slot for each of the eight
    app = create_app(shop)

    def order(number: int) -> int:
        line = {
            "event_type": "purchase",
            "user_id": f"u{number % 3}",
            "order_id": f"o{number}",
            "event_id": f"{number}",
        }
        lines = [line | {"item_id": item, "event_id": f"{number}-{item}"} for item in ("tea", "mug", f"i{number}")]
        return app.test_client().post("/events", json=lines).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(order, range(40))) == {202}
    assert len(stored(shop)) == 120
    assert len(set(stored(shop, "seq"))) == 120
    assert wrong_tables(shop) == {}


# Trouble


class Held:
    """A warehouse whose next insert waits until `go` is set."""

    def __init__(self, shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        insert = shop.writers[0]._insert

        def wait(*arguments: Any, **named: Any) -> None:
            self.reached.set()
            assert self.go.wait(30)
            insert(*arguments, **named)

        monkeypatch.setattr(shop.writer, "_insert", wait)


def test_a_full_queue_is_503_until_it_has_room(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(shop, monkeypatch)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(create_app(shop).test_client().post, "/events", json=[VIEW, VIEW])
        try:
            assert held.reached.wait(30)
            got = client.post("/events", json=[VIEW, VIEW])
            assert (got.status_code, error_of(got)["code"]) == (503, "busy")
            assert int(got.headers["Retry-After"]) >= 1
            assert json.loads(client.get("/readyz").text)["waiting"] == 2
        finally:
            held.go.set()
        assert first.result().status_code == 202
    assert client.post("/events", json=[VIEW, VIEW]).status_code == 202
    assert stored(shop) == ["tea"] * 4


def test_posts_waiting_for_a_stuck_writer_leave_threads_for_reads(
    make_shop: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_shop(threads=4)
    app = create_app(shop)
    held = Held(shop, monkeypatch)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(app.test_client().post, "/events", json=VIEW) for _ in range(2)]
        try:
            assert held.reached.wait(30)
            while shop.writer.waiting < 2:
                time.sleep(0.01)
            for path, seconds in (("/events", 3.0), ("/items", 0.5), ("/events", 0.5)):
                started = time.monotonic()
                got = app.test_client().post(path, json=VIEW)
                assert (got.status_code, error_of(got)["code"]) == (503, "busy")
                assert int(got.headers["Retry-After"]) >= 1
                assert time.monotonic() - started < seconds, "only the first waits for a slot"
            assert app.test_client().get("/pipes/trending").status_code == 200
        finally:
            held.go.set()
        assert [post.result().status_code for post in waiting] == [202, 202]
    assert app.test_client().post("/events", json=VIEW).status_code == 202
    assert stored(shop) == ["tea"] * 3, "nothing of a rejected post is stored"


def test_with_one_thread_a_post_is_accepted(make_shop: Callable[..., Service]) -> None:
    assert create_app(make_shop(threads=1)).test_client().post("/events", json=VIEW).status_code == 202


def test_the_writer_continues_when_gathering_a_batch_fails(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError("timeout value is too large")

    monkeypatch.setattr(shop.writers[0]._queue, "gather", fail)
    assert [client.post("/events", json=VIEW).status_code for _ in range(2)] == [202, 202]
    assert stored(shop) == ["tea", "tea"]


def test_an_idle_writer_accepts_more_than_the_queue_holds(client: FlaskClient, shop: Service) -> None:
    assert client.post("/events", json=[VIEW] * 10).status_code == 202
    assert len(stored(shop)) == 10


@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_failed_insert_a_retry_stores_events_once(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The insert fails before or after `events` has the batch; recovery completes the views."""
    insert = shop.writers[0]._insert
    tokens: list[str] = []

    def refuse(table: str, lines: bytes, token: str) -> None:
        tokens.append(token)
        if when == "after":
            insert(table, lines, token)
        raise NotStored("Code: 243. DB::Exception: cannot reserve 1.00 MiB")

    line = {"event_type": "purchase", "user_id": "u", "order_id": "o"}
    order = [line | {"event_id": "e1", "item_id": "tea"}, line | {"event_id": "e2", "item_id": "mug"}]
    view = VIEW | {"event_id": "e3"}
    monkeypatch.setattr(shop.writer, "_insert", refuse)
    for body in (order, view):
        got = client.post("/events", json=body)
        assert (got.status_code, error_of(got)["code"]) == (503, "not_stored")
        assert got.headers["Retry-After"]
        assert "DB::" not in got.text
    assert len(tokens) > len(set(tokens)), "a failed batch is retried with its own token"

    monkeypatch.setattr(shop.writer, "_insert", insert)
    got = client.post("/events", json=[*order, view])
    assert (json.loads(got.text)["accepted"], json.loads(got.text)["duplicates"]) == (3, 3 if when == "after" else 0)
    assert stored(shop, "event_id") == ["e1", "e2", "e3"]
    assert wrong_tables(shop) == {}


def test_a_token_without_rows_does_not_count_as_a_stored_batch(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed insert leaves its token; ClickHouse would drop the retry as a duplicate."""
    insert, batches = shop.writers[0]._insert, itertools.count()

    def forget(*_: object) -> None:
        if not next(batches):
            raise NotStored("Code: 243. DB::Exception: cannot reserve 1.00 MiB")

    monkeypatch.setattr(shop.writer, "_insert", forget)
    assert client.post("/events", json=VIEW).status_code == 503
    monkeypatch.setattr(shop.writer, "_insert", insert)
    assert client.post("/events", json=VIEW).status_code == 202
    assert stored(shop) == ["tea"]


def test_a_failed_insert_of_items_is_503(client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotStored("DB::Exception: no")

    monkeypatch.setattr(shop.writer, "_insert", refuse)
    got = client.post("/items", json={"item_id": "tea"})
    assert (got.status_code, error_of(got)["code"]) == (503, "not_stored")
    assert "DB::" not in got.text
    monkeypatch.undo()
    assert client.post("/items", json={"item_id": "tea"}).status_code == 202


# Items


def items(shop: Service) -> list[list[Any]]:
    columns = "item_id, title, category, brand, price, available, image, attributes"
    return shop.warehouse.trusted_rows(
        f"select {columns} from {shop.warehouse.database}.items final order by item_id"
    ).data


FULL = {
    "item_id": "tea",
    "title": AWKWARD,
    "category": "Kitchen/Tea",
    "brand": "Sora",
    "price": 8.9,
    "available": False,
    "image": "https://x.example/tea.png",
    "attributes": {"leaf": AWKWARD, "origin": "Uji"},
}
STORED = ["tea", AWKWARD, "Kitchen/Tea", "Sora", 8.9, False, "https://x.example/tea.png", FULL["attributes"]]


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({}, {}),
        ({"price": 7}, {4: 7}),
        ({"price": None, "title": None}, {4: 0, 1: ""}),
        ({"available": True}, {5: True}),
        ({"available": None}, {5: True}),
        ({"attributes": {"leaf": None, "grade": 2}}, {7: {"origin": "Uji", "grade": "2"}}),
        ({"attributes": None}, {7: {}}),
        ({"brand": "Sora", "replace": True}, {1: "", 2: "", 4: 0, 5: True, 6: "", 7: {}}),
    ],
)
def test_an_item_changes_only_the_fields_it_names(
    client: FlaskClient, shop: Service, sent: dict[str, Any], changed: dict[int, Any]
) -> None:
    assert client.post("/items", json=FULL).status_code == 202
    assert client.post("/items?wait=true", json={"item_id": "tea"} | sent).status_code == 200
    assert items(shop) == [[changed.get(number, value) for number, value in enumerate(STORED)]]


def test_posts_of_one_request_change_an_item_one_after_the_other(client: FlaskClient, shop: Service) -> None:
    lines = [FULL, {"item_id": "tea", "price": 7}, {"item_id": "tea", "brand": "Kiri"}, {"item_id": "tea", "price": 6}]
    client.post("/items", json=lines)
    assert items(shop) == [[*STORED[:3], "Kiri", 6, *STORED[5:]]]


def test_with_replace_the_fields_that_are_not_named_are_cleared(client: FlaskClient, shop: Service) -> None:
    client.post("/items", json=FULL)
    client.post("/items?replace=true", json={"item_id": "tea", "title": "Tea"})
    assert items(shop) == [["tea", "Tea", "", "", 0, True, "", {}]]
    assert error_of(client.post("/items?replace=perhaps", json=FULL))["message"].startswith("replace: 'perhaps' is")


def test_a_sold_out_item_stays_off_every_list_until_it_is_back(client: FlaskClient) -> None:
    def shown() -> list[str]:
        rows = json.loads(client.get("/pipes/all_items").text)["data"]
        return sorted(row["item_id"] for row in rows)

    def post(**fields: Any) -> None:
        assert client.post("/items?wait=true", json={"item_id": "tea"} | fields).status_code == 200

    client.post("/items", json=[{"item_id": "tea", "available": False}, {"item_id": "pot", "stock": 2}])
    post(price=7)
    assert shown() == ["pot"]
    post(available=True)
    assert shown() == ["pot", "tea"]
    post(stock=0)
    assert shown() == ["pot"]
    post(stock=3, price=8)
    assert shown() == ["pot", "tea"]


def test_a_removed_item_is_nowhere_and_begins_anew_when_it_is_posted_again(client: FlaskClient, shop: Service) -> None:
    client.post("/items", json=[FULL | {"available": True}, {"item_id": "a/b", "title": "Awkward"}])
    client.post("/items", json={"item_id": "new\nline", "title": "Awkward"})
    client.post("/events?wait=true", json=VIEW)
    stored_fields = json.loads(client.get("/items/tea").text)
    assert (stored_fields["title"], stored_fields["attributes"]) == (AWKWARD, FULL["attributes"])
    for item_id in ("tea", "a/b", "new%0Aline", "never-there"):
        assert client.delete(f"/items/{item_id}?wait=true").status_code == 200
        assert error_of(client.get(f"/items/{item_id}"))["code"] == "no_such_item"
    assert json.loads(client.get("/pipes/all_items").text)["data"] == []
    client.post("/items", json={"item_id": "tea", "price": 5})
    assert json.loads(client.get("/items/tea").text)["price"] == 5
    assert items(shop)[-1] == ["tea", "", "", "", 5, True, "", {}]


def test_a_stored_item_is_visible_at_once(client: FlaskClient) -> None:
    client.post("/items", json={"item_id": "tea", "title": "Green"})
    client.post("/events", json=VIEW)

    def shown() -> str:
        title: str = json.loads(client.get("/pipes/recently_viewed?user_id=u").text)["data"][0]["title"]
        return title

    assert shown() == "Green"
    client.post("/items", json={"item_id": "tea", "title": "Black"})
    assert shown() == "Black"


def test_events_get_the_current_category_of_their_item(client: FlaskClient, shop: Service) -> None:
    client.post("/events", json=VIEW)
    client.post("/items", json={"item_id": "tea", "category": "Kitchen/Tea"})
    client.post("/events", json=[VIEW, VIEW | {"category": "Gifts"}, VIEW | {"item_id": "unknown"}])
    client.post("/items", json={"item_id": "tea", "category": "Sale"})
    client.post("/events", json=VIEW)
    assert stored(shop, "category") == ["Kitchen/Tea", "Kitchen/Tea", "Gifts", "", "Sale"]
    assert wrong_tables(shop) == {}


def test_events_queued_after_an_item_get_its_category(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "alsobought.storage.catalogue.RELOAD_SECONDS", 60.0
    )  # no other reason to read the catalogue again
    held = Held(shop, monkeypatch)
    view = Event(event_type="view", user_id="u", item_id="tea")
    shop.writer.submit(Submission([view]))
    assert held.reached.wait(30)
    shop.writer.submit(Submission([Item(item_id="tea", category="Kitchen/Tea")]))
    behind = shop.writer.submit(Submission([view]))
    held.go.set()
    assert behind.result(30).rows == 1
    assert stored(shop, "category")[1] == "Kitchen/Tea"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"item_id": ""}, "item_id: expected `str` of length >= 1"),
        ({"item_id": "a\0b"}, "item_id: holds a NUL character"),
        ({"price": -1}, "price: expected `float` >= 0.0"),
        ({"available": "perhaps"}, 'available: "perhaps" is neither true nor false'),
        ({"attributes": {"size": [4]}}, "attributes.size: expected `str`"),
        ({"currency": "euro"}, "currency: 'EURO' is not a currency like EUR"),
        ({"titel": "Tea"}, "titel: not a field of this object; put your own fields under attributes"),
        ({"title": "x" * 70_000}, "70,031 bytes; at most 65,536 are accepted"),
    ],
)
def test_an_invalid_item_is_listed_by_index_and_field_and_the_others_are_stored(
    client: FlaskClient, shop: Service, change: dict[str, Any], problem: str
) -> None:
    lines = [{"item_id": "a"}, {"item_id": "bad", "title": "x"} | change, {"item_id": "b"}]
    got = client.post("/items", json=lines)
    assert got.status_code == 202
    ((index, reported),) = rejected(got)
    assert index == 1
    assert reported.startswith(problem)
    assert [row[0] for row in items(shop)] == ["a", "b"]


def test_without_a_valid_item_it_is_400(client: FlaskClient) -> None:
    got = client.post("/items", json={"title": "Tea"})
    assert (got.status_code, error_of(got)["code"]) == (400, "bad_items")
    assert error_of(got)["message"] == "no item could be accepted: item_id: missing"
    assert error_of(client.post("/items"))["code"] == "bad_request"


@pytest.mark.parametrize(
    "written", ["Kitchen > Tea > Green", "Kitchen/Tea/Green", "Kitchen | Tea|Green", "/Kitchen//Tea/ Green"]
)
def test_a_category_is_a_path_however_its_levels_are_separated(
    client: FlaskClient, shop: Service, written: str
) -> None:
    client.post("/items", json={"item_id": "tea", "category": written})
    client.post("/events?wait=true", json=VIEW | {"category": written})
    assert stored(shop, "category") == ["Kitchen/Tea/Green"]
    for asked in ("Kitchen", "Kitchen/Tea", "Kitchen > Tea > Green"):
        rows = json.loads(client.get("/pipes/all_items", query_string={"category": asked}).text)["data"]
        assert [row["category"] for row in rows] == ["Kitchen/Tea/Green"]
    assert json.loads(client.get("/pipes/all_items?category=Tea").text)["data"] == []
