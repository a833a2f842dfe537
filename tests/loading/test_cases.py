"""Files as shops and data sets have them, through the command: what is stored, and what is asked before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import CompletedRun, Run, assert_error, running

PRICES = """\
Artikelnummer;Bezeichnung;Warengruppe;Preis;Lieferbar
0041;"Kanne ""Möwe""
mit Sieb";Küche/Kannen;19,90;ja
0042;Schrank;Wohnen/Schränke;1.249,50;ja
0043;Bett;Wohnen/Betten;1.899;ja
0044;Löffel;Küche;3;nein
"""
FIELDS = {"item_id": "Artikelnummer", "title": "Bezeichnung", "category": "Warengruppe", "price": "Preis"}
MAPS = [word for name, column in {**FIELDS, "available": "Lieferbar"}.items() for word in ("--map", f"{name}={column}")]
ORDERS = """\
Name,Email,Financial Status,Paid at,Lineitem quantity,Lineitem price,Lineitem sku
#31,ada@shop.example,paid,2026-02-20 10:11:12 -0500,1,40.00,LAMP-1
#31,ada@shop.example,,,2,12.00,BULB-2
#32,bob@shop.example,refunded,2026-02-21 09:00:00 -0500,1,40.00,LAMP-1
#33,eve@shop.example,paid,2026-02-22 09:00:00 +0100,1,40.00,LAMP-1
#33,eve@shop.example,,,1,12.00,BULB-2
"""
ORDER_FLAGS = [
    *("--set", "event_type=purchase", "--drop-rest", "--map", "user_id=Email", "--map", "item_id=Lineitem sku"),
    *("--map", "order_id=Name", "--map", "timestamp=Paid at", "--map", "quantity=Lineitem quantity"),
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Commands on a folder that does not exist: nothing is stored here."""
    return running(tmp_path / "data")


def rows_of(ran: CompletedRun) -> list[dict[str, Any]]:
    """The rows of a dry run."""
    assert ran.status == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()[:-1]]


@pytest.mark.parametrize(
    ("encoding", "start", "note"),
    [
        ("utf-8-sig", "", "separated by ';'"),
        ("cp1252", "", "read as cp1252, for example 'Möwe'"),
        ("utf-16", "", "read as UTF-16"),
        ("utf-8", "sep=;\n", ""),
    ],
)
def test_a_price_list_of_a_german_spreadsheet(run: Run, tmp_path: Path, encoding: str, start: str, note: str) -> None:
    file = tmp_path / "preise.csv"
    file.write_bytes((start + PRICES).replace("\n", "\r\n").encode(encoding))
    assert_error(
        run("load", "items", file, *MAPS),
        "Preis has numbers with a decimal comma: '19,90', '1.249,50', '1.899'",
        "Pass --decimal , (19,90 is 19.9, 1.899 is 1,899)",
    )
    assert not (tmp_path / "data").exists()
    ran = run("load", "items", file, *MAPS, "--decimal", ",", "--dry-run")
    assert [(row["item_id"], row["price"], row.get("available", True)) for row in rows_of(ran)] == [
        ("0041", 19.9, True),
        ("0042", 1249.5, True),
        ("0043", 1899.0, True),
        ("0044", 3.0, False),
    ]
    assert rows_of(ran)[0]["title"] == 'Kanne "Möwe"\r\nmit Sieb'
    assert note in ran.err


def test_prices_with_three_decimals_are_a_question_before_anything_is_stored(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "preise.csv"
    file.write_text("item_id;title;price\n0043;Bett;1.899\n0045;Regal;2.450\n0046;Brett;149\n")
    question = "1.899 is 1,899 with --thousands . or 1.899 with --decimal ."
    assert_error(run("load", "items", file), "price has numbers with two readings: '1.899', '2.450'", question)
    assert not (tmp_path / "data").exists()

    def prices(*flags: str) -> list[float]:
        return [row["price"] for row in rows_of(run("load", "items", file, "--dry-run", *flags))]

    assert prices("--thousands", ".") == [1899.0, 2450.0, 149.0]
    assert prices("--decimal", ".") == [1.899, 2.45, 149.0]


def test_the_lines_of_an_order_are_never_dated_now(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(ORDERS)
    ran = run("load", "events", file, *ORDER_FLAGS, "--dry-run")
    assert ran.status == 1
    assert ran.out.endswith("3 events would be stored, 2 would be rejected\n")
    assert f"{file}:2: timestamp: 'Paid at' is empty; pass --fill-down 'Paid at'" in ran.err
    down = ("--fill-down", "Paid at", "--fill-down", "Financial Status", "--fill-within", "Name")
    ran = run("load", "events", file, *ORDER_FLAGS, *down, "--where", "Financial Status=paid", "--dry-run")
    assert [(row["item_id"], row["order_id"], row["timestamp"]) for row in rows_of(ran)] == [
        ("LAMP-1", "#31", "2026-02-20T15:11:12Z"),
        ("BULB-2", "#31", "2026-02-20T15:11:12Z"),
        ("LAMP-1", "#33", "2026-02-22T08:00:00Z"),
        ("BULB-2", "#33", "2026-02-22T08:00:00Z"),
    ]
    assert ran.out.endswith("4 events would be stored, 0 would be rejected, 1 left out\n")


def test_an_unnamed_column_is_dropped_by_the_hint(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "retail.csv"
    file.write_text(",StockCode,Customer ID\n0,21001,17001.0\n")
    flags = ("--set", "event_type=view", "--map", "item_id=StockCode", "--map", "user_id=Customer ID", "--dry-run")
    assert_error(run("load", "events", file, *flags), "'' is not a field of events", "--drop '' to leave it out")
    (row,) = rows_of(run("load", "events", file, *flags, "--drop", ""))
    assert row == {"event_type": "view", "item_id": "21001", "user_id": "17001"}


def test_dates_units_values_and_headers_of_data_sets(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(
        "user_id,item_id,event,timestamp\n7,tea,transaction,01/12/2009 07:45\n7,mug,view,13/12/2009 07:45\n"
    )
    flags = ("--map", "event_type=event", "--map-value", "event_type=transaction:purchase", "--dry-run")
    assert_error(run("load", "events", file, *flags), "'01/12/2009 07:45'", "--time-format '%d/%m/%Y %H:%M'")
    rows = rows_of(
        run("load", "events", file, *flags, "--time-format", "%d/%m/%Y %H:%M", "--time-zone", "Europe/Paris")
    )
    assert [(row["event_type"], row["timestamp"]) for row in rows] == [
        ("purchase", "2009-12-01T06:45:00Z"),
        ("view", "2009-12-13T06:45:00Z"),
    ]
    file.write_text("1,2026-02-07T10:51:09.277Z,tea\n2,2026-02-07T10:54:09Z,mug\n")
    view = ("--set", "event_type=view", "--dry-run")
    assert_error(run("load", "events", file, *view), "its first line looks like data", "--columns ?,timestamp,?")
    rows = rows_of(run("load", "events", file, *view, "--columns", "session_id,timestamp,item_id"))
    assert [row["session_id"] for row in rows] == ["1", "2"]
    file.write_text("timestamp,event_type,user_id,item_id\n1764201600123456,view,8.170,tea\n")
    ran = run("load", "events", file, "--epoch", "ms", "--dry-run")
    assert "1764201600123456 is not a time in ms; pass --epoch us if it is 2025-11-27T00:00:00Z" in ran.err
    (row,) = rows_of(run("load", "events", file, "--epoch", "us", "--dry-run"))
    assert (row["user_id"], row["timestamp"]) == ("8.170", "2025-11-27T00:00:00.123456Z")
