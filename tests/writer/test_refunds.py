"""Refunds take back purchases: which ones, and that counts, lists and answers are as if these had never been bought."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.writer.refunds import Line, RefundedLine, refunded_lines
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.web import wrong_tables


def line(seq: int, event_type: str, order_id: str, item_id: str, quantity: int, **others: Any) -> Line:
    return Line(
        "ada",
        seq,
        others.pop("time", seq),
        event_type,
        order_id,
        item_id,
        quantity,
        others.pop("refunded", 0),
        **others,
    )


SHOE, MORE_SHOES, SOCK = (
    line(1, "purchase", "o1", "shoe", 3),
    line(3, "purchase", "o2", "shoe", 2),
    line(2, "purchase", "o1", "sock", 1),
)
ALL_OF = "refunded_purchase"


@pytest.mark.parametrize(
    ("refunds", "changes"),
    [
        ([line(9, "refund", "o1", "", 0)], {1: (ALL_OF, 3), 2: (ALL_OF, 1)}),
        ([line(9, "refund", "o1", "shoe", 0)], {1: (ALL_OF, 3)}),
        ([line(9, "refund", "o1", "shoe", 2)], {1: ("purchase", 2)}),
        ([line(9, "refund", "o1", "shoe", 2), line(10, "refund", "o1", "shoe", 2)], {1: (ALL_OF, 3)}),
        ([line(9, "refund", "", "shoe", 1)], {3: ("purchase", 1)}),
        ([line(9, "refund", "", "shoe", 0)], {3: (ALL_OF, 2)}),
        ([line(9, "refund", "", "shoe", 4)], {3: (ALL_OF, 2), 1: ("purchase", 2)}),
        ([line(9, "refund", "", "shoe", 2, time=1)], {1: ("purchase", 2)}),
        ([line(9, "refund", "", "shoe", 2), line(10, "refund", "o2", "", 0)], {3: (ALL_OF, 2), 1: ("purchase", 2)}),
        ([line(9, "refund", "R7", "shoe", 1)], {}),
        ([line(9, "refund", "R7", "shoe", 1, negative=True)], {3: ("purchase", 1)}),
        ([line(9, "refund", "o1", "shoe", 1, negative=True)], {1: ("purchase", 1)}),
        ([line(9, "refund", "o1", "hat", 0), line(10, "refund", "", "hat", 0)], {}),
    ],
    ids=[
        "a whole order",
        "an item of an order",
        "two of three pieces",
        "more pieces than there are",
        "no order: of the newest line",
        "no order, no quantity: the newest line",
        "no order: further lines",
        "no order: not what was bought later",
        "refunds with an order come first",
        "an order that is not known waits",
        "a negative quantity with the number of a receipt",
        "a negative quantity in its own order",
        "what was not bought",
    ],
)
def test_a_refund_takes_back_lines(refunds: Sequence[Line], changes: dict[int, tuple[str, int]]) -> None:
    lines = [SHOE, SOCK, MORE_SHOES, *refunds]
    expected = {RefundedLine(seq, *change) for seq, change in changes.items()}
    assert set(refunded_lines(lines)) == set(refunded_lines(reversed(lines))) == expected
    stored = {change.seq: change for change in expected}
    again = [
        one._replace(event_type=stored[one.seq].event_type, refunded=stored[one.seq].refunded)
        if one.seq in stored
        else one
        for one in lines
    ]
    assert refunded_lines(again) == []


def test_a_line_whose_refund_is_gone_is_a_purchase_again() -> None:
    refunded = SHOE._replace(event_type=ALL_OF, refunded=3)
    assert refunded_lines([refunded]) == [RefundedLine(1, "purchase", 0)]


def test_users_do_not_share_refunds() -> None:
    assert refunded_lines([SHOE, line(9, "refund", "o1", "", 0)._replace(user_id="bob")]) == []


# Through the service


def order(order_id: str, *items: str, user: str = "ada", **others: Any) -> list[Event]:
    return [
        Event(event_type="purchase", user_id=user, order_id=order_id, item_id=item, timestamp=NOON, **others)
        for item in items
    ]


def refund(order_id: str = "", item_id: str = "", user: str = "ada", **others: Any) -> Event:
    at = NOON + timedelta(hours=1)
    return Event(event_type="refund", user_id=user, order_id=order_id, item_id=item_id, timestamp=at, **others)


def post(shop: Service, *events: Event) -> None:
    shop.writer.submit(Submission(list(events), waiting=True)).result(30)


def counted(shop: Service, table: str, value: str, condition: str = "1") -> int:
    sql = f"select sum({value}) from {shop.warehouse.database}.{table} where {condition}"
    return int(shop.warehouse.trusted_rows(sql).data[0][0])


def test_counts_are_as_if_a_refunded_order_had_never_been(shop: Service) -> None:
    post(shop, *order("o1", "shoe", "sock", quantity=2, price=5), *order("o2", "shoe", "sock", user="bob"))
    post(shop, refund("o1"))
    assert (
        counted(shop, "co_baskets", "baskets") == counted(shop, "co_purchases", "buyers") == 2
    )  # of bob, both ways round
    assert counted(shop, "item_totals", "orders", "item_key = cityHash64('shoe')") == 1
    purchases = "event_type = 'purchase' and item_key = cityHash64('shoe')"
    assert counted(shop, "daily_popularity", "quantity", purchases) == 1
    assert counted(shop, "daily_popularity", "revenue", purchases.replace("'purchase'", "'refunded_purchase'")) == 10
    assert wrong_tables(shop) == {}


def test_some_pieces_leave_the_purchase_and_its_pairs(shop: Service) -> None:
    post(shop, *order("o1", "shoe", "sock", quantity=3, price=5))
    post(shop, refund("o1", "shoe", quantity=1))
    assert counted(shop, "co_baskets", "baskets") == 2
    assert (
        counted(shop, "daily_popularity", "revenue", "event_type = 'purchase' and item_key = cityHash64('shoe')") == 10
    )
    assert wrong_tables(shop) == {}


@pytest.mark.parametrize("first", ["refund", "purchase", "together"])
def test_a_refund_may_come_before_with_or_after_its_purchase(shop: Service, first: str) -> None:
    bought, taken_back = order("o1", "shoe", "sock"), refund("o1", "shoe", event_id="r1")
    if first == "together":
        post(shop, taken_back, *bought)
    else:
        for events in [[taken_back], bought] if first == "refund" else [bought, [taken_back]]:
            post(shop, *events)
    post(shop, taken_back)  # once more
    assert counted(shop, "buyer_items", "1") == 1
    assert counted(shop, "co_baskets", "baskets") == 0
    assert wrong_tables(shop) == {}


def test_refunds_that_a_stopped_writer_left_are_applied_by_the_next(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(type(shop.writers[0].corrections), "apply_refunds", lambda _: 0)
        post(shop, *order("o1", "shoe", "sock"), refund("o1"))
    assert counted(shop, "co_baskets", "baskets") == 2
    shop.writers[0].corrections.refunds.users.clear()
    shop.writers[0].lease.dirty = True
    post(shop, *order("o9", "hat", user="bob"))
    assert counted(shop, "co_baskets", "baskets") == 0
    assert wrong_tables(shop) == {}


def test_a_merge_brings_refunds_and_purchases_together_and_an_unmerge_parts_them(shop: Service) -> None:
    post(shop, *order("o1", "shoe", "sock", user="visitor"), refund("o1", user="ada"))
    shop.do("merge", "visitor", "ada")
    assert counted(shop, "co_baskets", "baskets") == 0
    assert wrong_tables(shop) == {}
    shop.do("unmerge", "visitor")
    assert counted(shop, "co_baskets", "baskets") == 2
    assert wrong_tables(shop) == {}


def test_what_was_sent_back_is_in_no_list_of_its_partners_and_is_offered_again(
    client: FlaskClient, shop: Service
) -> None:
    def rows(path: str) -> list[Any]:
        return [
            row["item_id" if "other_item_id" not in row else "other_item_id"]
            for row in json.loads(client.get(path).text)["data"]
        ]

    client.post("/items", json=[{"item_id": item, "title": item} for item in ("shoe", "sock", "hat")])
    bought = [
        {"event_type": "purchase", "user_id": user, "order_id": "o", "item_id": item}
        for user in ("u", "v")
        for item in ("shoe", "sock")
    ]
    assert (
        client.post(
            "/events?wait=true", json=[*bought, {"event_type": "purchase", "user_id": "v", "item_id": "sock"}]
        ).status_code
        == 200
    )
    assert rows("/pipes/also_bought?item_id=sock&limit=1") == ["shoe"]
    assert rows("/pipes/popular?user_id=u&limit=1") == ["hat"]
    for user in "uv":
        event = {"event_type": "refund", "user_id": user, "order_id": "o", "item_id": "shoe"}
        assert client.post("/events?wait=true", json=event).status_code == 200
    also_bought = json.loads(client.get("/pipes/also_bought?item_id=sock&limit=3").text)["data"]
    assert [row["other_item_id"] for row in also_bought if row["source"] == "also_bought"] == []
    assert "shoe" in rows("/pipes/popular?user_id=u&limit=3")
    assert rows("/pipes/popular?limit=1") == ["sock"]


def test_a_purchase_of_fewer_than_none_is_a_refund(client: FlaskClient, shop: Service) -> None:
    purchase = {"event_type": "purchase", "user_id": "u", "order_id": "o", "item_id": "shoe"}
    for event in (
        purchase | {"quantity": 3},
        purchase | {"quantity": -1},
        purchase | {"quantity": -2, "order_id": "C7"},
    ):
        assert client.post("/events?wait=true", json=event).status_code == 200
    sql = f"select event_type, quantity, refunded from {shop.warehouse.database}.events order by seq"
    assert shop.warehouse.trusted_rows(sql).data == [["refunded_purchase", 3, 3], ["refund", 1, 0], ["refund", 2, 0]]


def test_a_refund_needs_an_item_or_an_order(client: FlaskClient) -> None:
    body = json.loads(client.post("/events", json={"event_type": "refund", "user_id": "u"}).text)
    assert (
        body["error"]["message"]
        == "no event could be accepted: item_id: missing; a refund without one needs an order_id"
    )
