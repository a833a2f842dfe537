"""Exports of spreadsheets, shop systems and public data sets as they are loaded, asked about and stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from alsobought.writer.submission import utc_now
from tests.inputs.conftest import Live
from tests.support.process import assert_error

PRICES = """\
Artikelnummer;Bezeichnung;Warengruppe;Preis;Lieferbar
d1-01;"Krug ""Elbe""
mit Henkel";D1/Krüge;14,90;ja
d1-02;Tisch;D1/Tische;1.249,50;ja
d1-03;Sofa;D1/Sofas;1.899;ja
d1-04;Gabel;D1;2;nein
"""
PRICE_FLAGS = [
    *("--map", "item_id=Artikelnummer", "--map", "title=Bezeichnung", "--map", "category=Warengruppe"),
    *("--map", "price=Preis", "--map", "available=Lieferbar"),
]
ORDERS = """\
Name,Email,Financial Status,Paid at,Created at,Cancelled at,Lineitem quantity,Lineitem price,Lineitem sku
#d2-1,d2-p1@shop.example,paid,2026-01-20 10:12:00 -0500,2026-01-20 10:11:12 -0500,,1,40.00,d2-LAMP
#d2-1,d2-p1@shop.example,,,,,2,12.00,d2-BULB
#d2-2,d2-p2@shop.example,refunded,2026-01-21 09:00:00 -0500,2026-01-21 09:00:00 -0500,,1,40.00,d2-LAMP
"""
RETAIL = """\
,Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country
0,700001,d3-85048,GLASS BALL,12,2026-01-02 07:45:00,6.95,17301.0,France
1,700001,d3-POST,POSTAGE,1,2026-01-02 07:45:00,18.00,17301.0,France
2,700002,d3-22064,,4,2026-01-02 09:10:00,0.0,,France
3,C700003,d3-85048,GLASS BALL,-12,2026-01-03 10:33:00,6.95,17301.0,France
"""
RETAIL_FLAGS = [
    *("--set", "event_type=purchase", "--map", "item_id=StockCode", "--map", "order_id=Invoice", "--map", "price=Price"),
    *("--map", "timestamp=InvoiceDate", "--map", "quantity=Quantity", "--map", "user_id=Customer ID"),
    *("--drop", "Description", "--drop", "Country", "--drop", ""),
]  # fmt: skip


def test_a_price_list_with_a_comma_is_loaded_as_it_is_meant(live: Live) -> None:
    asked = live.load("items", PRICES, *PRICE_FLAGS, name="preise.csv")
    assert_error(asked, "decimal comma: '14,90', '1.249,50', '1.899'", "Pass --decimal ,")
    ran = live.load("items", PRICES, *PRICE_FLAGS, "--decimal", ",", name="preise.csv")
    assert ran.out == "preise.csv: 4 items stored, 0 duplicates, 0 rejected\n"
    assert live.ask("all_items?category=D1&max_price=100", "item_id", "title", "price") == [
        ("d1-01", 'Krug "Elbe"\nmit Henkel', 14.9)
    ]
    prices = live.ask("all_items?category=D1&min_price=100", "item_id", "price")
    assert sorted(prices) == [("d1-02", 1249.5), ("d1-03", 1899)]
    assert live.send("GET", "/items/d1-04")[1]["available"] is False


def test_an_export_of_orders_has_the_times_of_its_orders_and_no_refunded_ones(live: Live) -> None:
    ran = live.load("events", ORDERS, "--format", "shopify-orders", name="orders_export.csv")
    assert ran.out == "orders_export.csv: 2 events stored, 0 duplicates, 0 rejected, 1 left out\n"
    assert live.events_of("d2-p1@shop.example", "item_id", "quantity", "timestamp") == [
        ("d2-LAMP", 1, "2026-01-20T15:11:12.000Z"),
        ("d2-BULB", 2, "2026-01-20T15:11:12.000Z"),
    ]
    assert live.events_of("d2-p2@shop.example", "item_id") == []


def test_a_customer_of_a_data_set_is_the_one_of_the_web_and_a_cancellation_is_a_refund(live: Live) -> None:
    ran = live.load("events", RETAIL, *RETAIL_FLAGS, name="retail.csv")
    assert ran.out == "retail.csv: 3 events stored, 0 duplicates, 1 rejected\n"
    assert "retail.csv:3: user_id: missing; a guest needs a session_id instead" in ran.err
    live.post("events", {"event_type": "view", "user_id": "17301", "item_id": "d3-22064"})
    assert live.events_of("17301", "event_type", "item_id", "refunded") == [
        ("refunded_purchase", "d3-85048", 12),
        ("purchase", "d3-POST", 0),
        ("refund", "d3-85048", 0),
        ("view", "d3-22064", 0),
    ]


def test_other_words_for_event_types_are_asked_for_by_the_flag_that_replaces_them(live: Live) -> None:
    text = "timestamp,visitorid,event,itemid,transactionid\n1767949200000,1,view,100,\n1767949260000,1,addtocart,100,\n"
    text += "1767949320000,1,transaction,100,7001\n"
    flags = ["--epoch", "ms", "--map", "event_type=event", "--map", "user_id=visitorid", "--map", "item_id=itemid"]
    flags += ["--map", "order_id=transactionid", "--dry-run"]
    ran = live.load("events", text, *flags, name="retailrocket.csv")
    assert ran.status == 1
    hint = "--map-value event_type=addtocart:add_to_cart --map-value event_type=transaction:TYPE"
    assert f"Pass {hint} if these are event types" in ran.err
    words = [word.replace("TYPE", "purchase") for word in hint.split()]
    ran = live.load("events", text, *flags, *words, name="retailrocket.csv")
    assert ran.out.endswith("retailrocket.csv: 3 events would be stored, 0 would be rejected\n")
    preset = live.load("events", text, "--format", "retailrocket", "--dry-run", name="retailrocket.csv")
    assert preset.out.splitlines() == ran.out.splitlines()


def _orders(own: str) -> str:
    """A week of orders, ten days ago, of the items in `_items`."""
    days = [(utc_now() - timedelta(days=10 - number)).strftime("%Y-%m-%dT10:00:00Z") for number in range(3)]
    lines = [("w1", "1", "mug", 0), ("w2", "2", "mug", 1), ("w2", "2", "jug", 1), ("w3", "3", "jug", 2)]
    rows = [f"{own}-{user},{own}-{order},{own}-{item},purchase,{days[day]}" for user, order, item, day in lines]
    return "\n".join(["user_id,order_id,item_id,event_type,timestamp", *rows, ""])


def _items(own: str, separator: str) -> str:
    parts = [("mug", "Mugs"), ("jug", "Mugs"), ("pot", "Pots")]
    return "item_id,title,category\n" + "".join(
        f"{own}-{item},{item.title()},{own}{separator}{part}\n" for item, part in parts
    )


def test_orders_may_come_before_their_catalogue(live: Live) -> None:
    answers: list[Any] = []
    for own, is_first in (("d5", "events"), ("d6", "items")):
        texts = {"events": _orders(own), "items": _items(own, "/")}
        for kind in sorted(texts, key=lambda kind: kind != is_first):
            assert live.load(kind, texts[kind], name=f"{own}-{kind}.csv").status == 0
        rows = live.ask(
            f"from_your_categories?user_id={own}-w1&limit=1", "item_id", "category", "purchases", "your_share", "reason"
        )
        answers.append([[str(cell).replace(own, "own") for cell in row] for row in rows])
    reason = "100 % of your interest is in own/Mugs: bought twice in the last 28 days"
    assert answers == [[["own-jug", "own/Mugs", "2", "1", reason]]] * 2


def test_paths_of_categories_may_be_written_with_angle_brackets(live: Live) -> None:
    live.load("events", _orders("d7"), name="d7-events.csv")
    live.load("items", _items("d7", " > "), name="d7-items.csv")
    expected = [("d7-mug", "d7/Mugs", 2), ("d7-jug", "d7/Mugs", 2)]
    for category in ("d7", "d7%20%3E%20Mugs", "d7/Mugs"):
        rows = live.ask(f"popular?category={category}&limit=2", "item_id", "category", "purchases")
        assert sorted(rows) == sorted(expected), category
    rows = live.ask("from_your_categories?user_id=d7-w1&limit=1", "item_id", "your_share")
    assert rows == [("d7-jug", 1)]
