"""Each preset turns a sample of its export into exactly these events or items, and is equal to the flags it shows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alsobought.cli.load import load
from alsobought.cli.load_options import layout_and_columns
from alsobought.errors import Unusable
from alsobought.events import Rules
from alsobought.items import Item
from alsobought.loading.files import Layout, Rows, open_rows
from alsobought.loading.loader import LoadTask, dry_run
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.preflight import check_sample
from alsobought.loading.presets import Preset, as_command, flags, preset_of, presets, with_preset
from alsobought.loading.preview import as_stored
from alsobought.loading.rejects import Rejects
from alsobought.loading.submitter import Report

SAMPLES = Path(__file__).parent / "samples"
RULES = Rules(datetime(2026, 4, 1, tzinfo=UTC))


def purchase(user: str, item: str, order: str, at: str, **fields: Any) -> dict[str, Any]:
    who = {} if user == "" else {"user_id": user}
    return {"event_type": "purchase", "item_id": item, **who, "order_id": order, "timestamp": at, **fields}


def event(event_type: str, item: str, at: str, **fields: Any) -> dict[str, Any]:
    return {"event_type": event_type, "item_id": item, "timestamp": at, **fields}


CHAIR_IMAGE = "https://img.example/chair.jpg"
SESSION = {"session_id": "1772441990"}
# (preset, kind, sample): what it stores, the number of rejected rows, the number left out
EXPECTED: dict[tuple[str, str, str], tuple[list[dict[str, Any]], int, int]] = {
    ("shopify-orders", "events", "shopify-orders.csv"): (
        [
            purchase("mia@shop.example", "CHAIR-1", "#2001", "2026-03-02T08:00:00Z", price=45.0),
            purchase("mia@shop.example", "Cushion", "#2001", "2026-03-02T08:00:00Z", price=8.0, quantity=2),
            purchase("+49 30 123", "CHAIR-1", "#2002", "2026-03-02T09:00:00Z", price=45.0),
        ],
        0,
        3,
    ),
    ("shopify-products", "items", "shopify-products.csv"): (
        [
            {
                "item_id": "CHAIR-1",
                "title": "Reading Chair",
                "category": "Furniture/Chairs",
                "brand": "Elm & Oak",
                "price": 45.0,
                "group_id": "reading-chair",
                "image": CHAIR_IMAGE,
            },
            {
                "item_id": "CHAIR-2",
                "title": "Reading Chair",
                "category": "Furniture/Chairs",
                "brand": "Elm & Oak",
                "price": 49.0,
                "group_id": "reading-chair",
                "image": "https://img.example/grey.jpg",
            },
            {
                "item_id": "Cushion",
                "title": "Cushion",
                "category": "Textile",
                "price": 8.0,
                "available": False,
                "group_id": "cushion",
            },
        ],
        0,
        1,
    ),
    ("woocommerce-orders", "events", "woocommerce-orders.csv"): (
        [
            purchase("mia@shop.example", "CHAIR-1", "501", "2026-03-02T09:00:00Z", price=45.0),
            purchase("mia@shop.example", "Cushion", "501", "2026-03-02T09:00:00Z", price=8.0, quantity=2),
            purchase("tom@shop.example", "Cushion", "503", "2026-03-04T11:00:00Z", price=8.0),
        ],
        0,
        2,
    ),
    ("woocommerce-orders", "events", "woocommerce-orders.ndjson"): (
        [
            purchase("mia@shop.example", "CHAIR-1", "504", "2026-03-05T12:00:00Z", price=45.0),
            purchase("mia@shop.example", "32", "504", "2026-03-05T12:00:00Z", price=8.5, quantity=2),
        ],
        0,
        1,
    ),
    ("woocommerce-products", "items", "woocommerce-products.csv"): (
        [
            {
                "item_id": "CHAIR-1",
                "title": "Reading Chair",
                "category": "Furniture/Chairs",
                "brand": "Elm & Oak",
                "price": 39.0,
                "group_id": "CHAIR-1",
                "image": CHAIR_IMAGE,
            },
            {"item_id": "32", "title": "Cushion", "category": "Textiles", "price": 8.0},
            {"item_id": "VASE-1", "title": "Vase", "price": 12.0, "available": False, "group_id": "VASE-1"},
            {"item_id": "SHIRT", "title": "Shirt", "category": "Shirts", "group_id": "SHIRT"},
            {"item_id": "SHIRT-M", "title": "Shirt - M", "price": 20.0, "group_id": "SHIRT"},
        ],
        0,
        2,
    ),
    ("magento-orders", "events", "magento-orders.ndjson"): (
        [
            purchase("mia@shop.example", "CHAIR-1-GREEN", "000000601", "2026-03-02T08:00:00Z", price=45.0),
            purchase("mia@shop.example", "CUSHION", "000000601", "2026-03-02T08:00:00Z", price=8.5, quantity=2),
        ],
        0,
        2,
    ),
    ("magento-orders", "events", "magento-orders.csv"): (
        [purchase("mia@shop.example", "CHAIR-1-GREEN", "000000603", "2026-03-04T08:00:00Z", price=45.0)],
        0,
        1,
    ),
    ("magento-products", "items", "magento-products.csv"): (
        [
            {
                "item_id": "CHAIR-1",
                "title": "Reading Chair",
                "category": "Default Category/Furniture/Chairs",
                "brand": "Elm & Oak",
                "price": 45.0,
                "image": "/c/h/chair.jpg",
            },
            {
                "item_id": "CUSHION",
                "title": "Cushion",
                "category": "Default Category/Textiles",
                "price": 6.0,
                "available": False,
            },
        ],
        0,
        2,
    ),
    ("ga4-export", "events", "ga4-export.ndjson"): (
        [
            event("view", "CHAIR-1", "2026-03-02T09:00:01.123456Z", user_id="8.170", price=45.0, **SESSION),
            purchase("mia", "CHAIR-1", "T-1", "2026-03-02T09:01:00Z", price=45.0, **SESSION),
            purchase("mia", "CUSHION", "T-1", "2026-03-02T09:01:00Z", price=8.5, quantity=2, **SESSION),
        ],
        0,
        1,
    ),
    ("ga4-export", "events", "ga4-export.csv"): (
        [
            event("view", "CHAIR-1", "2026-03-02T09:00:01.123456Z", user_id="8.170", price=45.0),
            purchase("8.170", "CHAIR-1", "T-2", "2026-03-02T09:01:00Z", price=45.0),
        ],
        0,
        0,
    ),
    ("retailrocket", "events", "retailrocket.csv"): (
        [
            event("view", "355908", "2015-06-02T05:02:12.117000Z", user_id="257597"),
            event("add_to_cart", "355908", "2015-06-02T05:13:19.827000Z", user_id="257597"),
            purchase("257597", "355908", "4000", "2015-06-02T05:17:56.276000Z"),
        ],
        0,
        0,
    ),
    ("yoochoose-clicks", "events", "yoochoose-clicks.dat"): (
        [
            event("view", "214536502", "2014-04-07T10:51:09.277000Z", session_id="1"),
            event("view", "214536500", "2014-04-07T10:54:09.868000Z", session_id="1", category="S"),
        ],
        0,
        0,
    ),
    ("yoochoose-buys", "events", "yoochoose-buys.dat"): (
        [
            purchase("", "214537888", "420374", "2014-04-06T18:44:58.314000Z", session_id="420374", price=12462.0),
            purchase("", "214537850", "420374", "2014-04-06T18:44:58.325000Z", session_id="420374"),
        ],
        0,
        0,
    ),
    ("online-retail-ii", "events", "online-retail-ii.csv"): (
        [
            purchase("17001", "21001", "700001", "2010-03-02T09:00:00Z", price=4.95, quantity=2),
            purchase("17001", "21002A", "700001", "2010-03-02T09:00:00Z", price=1.25, quantity=6),
            purchase("17001", "21001", "C700003", "2010-03-03T09:00:00Z", price=4.95, quantity=2)
            | {"event_type": "refund", "properties": {"quantity": -2}},
        ],
        2,
        0,
    ),
    ("online-retail-ii", "items", "online-retail-ii.csv"): (
        [
            {"item_id": "21001", "title": "BLUE TEAPOT", "price": 4.95},
            {"item_id": "21002A", "title": "BLUE CUP", "price": 1.25},
            {"item_id": "21001", "title": "BLUE TEAPOT", "price": 4.95},
            {"item_id": "21001", "title": "BLUE TEAPOT", "price": 4.95},
        ],
        0,
        1,
    ),
    ("movielens", "events", "movielens.csv"): (
        [
            event("like", "10", "2000-07-30T18:45:03Z", user_id="1"),
            event("dislike", "20", "2000-07-30T18:45:04Z", user_id="1"),
            event("view", "10", "2000-07-30T18:45:05Z", user_id="2"),
            event("like", "20", "2000-07-30T18:45:06Z", user_id="2"),
        ],
        0,
        0,
    ),
    ("movielens", "items", "movielens-items.csv"): (
        [
            {"item_id": "10", "title": "Long Evenings, The (1999)", "category": "Comedy"},
            {"item_id": "20", "title": "Short Days (2001)"},
        ],
        0,
        0,
    ),
    ("instacart", "events", "instacart.csv"): (
        [
            purchase("1", "33120", "11", "2015-01-01T08:00:00Z"),
            purchase("1", "28985", "11", "2015-01-01T08:00:00Z"),
            purchase("1", "33120", "12", "2015-01-08T09:00:00Z"),
        ],
        0,
        0,
    ),
    ("instacart", "items", "instacart-items.csv"): (
        [
            {"item_id": "33120", "title": "Free Range Eggs", "category": "16"},
            {"item_id": "28985", "title": "Kale", "category": "4"},
        ],
        0,
        0,
    ),
    ("google-merchant", "items", "google-merchant.tsv"): (
        [
            {
                "item_id": "CHAIR-1",
                "title": "Reading Chair",
                "category": "Furniture/Chairs",
                "brand": "Elm & Oak",
                "price": 39.0,
                "group_id": "CHAIR",
                "image": CHAIR_IMAGE,
            },
            {
                "item_id": "CUSHION",
                "title": "Cushion",
                "price": 8.5,
                "image": "https://img.example/cushion.jpg",
                "available": False,
            },
        ],
        0,
        0,
    ),
}


@contextmanager
def _no_progress(_: Rows) -> Iterator[Callable[[int], object]]:
    yield lambda _: None


def loaded(kind: str, file: Path, layout: Layout, columns: ColumnMapping) -> Report:
    """A dry run as the command does it: check, then read."""
    with open_rows(file, layout) as rows:
        columns = check_sample(rows, kind, columns, RULES, force=True)
    return dry_run(LoadTask(kind, file, layout, columns), RULES, Rejects(None), _no_progress)


@pytest.mark.parametrize(("name", "kind", "sample"), EXPECTED, ids=[sample for _, _, sample in EXPECTED])
def test_a_preset_stores_exactly_these_rows_of_its_sample(name: str, kind: str, sample: str) -> None:
    layout, columns = with_preset(preset_of(name, kind), Layout(), ColumnMapping())
    report = loaded(kind, SAMPLES / sample, layout, columns)
    rows, rejected, left_out = EXPECTED[name, kind, sample]
    assert [without_usual_values(json.loads(as_stored(row))) for row in report.first_rows] == rows
    assert (report.stored, report.rejected, report.left_out) == (len(rows), rejected, left_out)


def without_usual_values(row: dict[str, Any]) -> dict[str, Any]:
    """The row without a quantity of 1 and without `available: true`."""
    return {name: value for name, value in row.items() if (name, value) not in (("quantity", 1), ("available", True))}


def test_every_preset_has_a_sample() -> None:
    assert {(preset.name, preset.kind) for preset in presets()} == {(name, kind) for name, kind, _ in EXPECTED}


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: f"{preset.name}-{preset.kind}")
def test_a_preset_is_equal_to_the_flags_it_shows(preset: Preset) -> None:
    shown = as_command(flags(preset.kind, *with_preset(preset, Layout(), ColumnMapping())))
    words = shlex.split(shown.replace("\\\n", " "))
    assert words[:4] == ["alsobought", "load", preset.kind, "FILE"]
    others = (
        "kind",
        "files",
        "source",
        "rejected",
        "dry_run",
        "force",
        "show",
        "replace",
        "replace_all",
        "max_removed",
    )
    parsed = {name: value for name, value in load.make_context("load", words[2:]).params.items() if name not in others}
    layout, columns, _ = layout_and_columns(preset.kind, **parsed)
    assert columns == replace(preset.columns, optional=frozenset())
    assert layout == replace(preset.layout, format=preset.layout.usual_format, usual_format="")


def test_flags_of_the_user_win_over_the_preset() -> None:
    own = ColumnMapping(
        mapped={"timestamp": "Paid at", "user_id": "Phone"},
        constants={"price": "1"},
        values={"event_type": {"purchase": "view"}},
        where=("Financial Status=paid",),
        keep_rest=True,
    )
    _, columns = with_preset(preset_of("shopify-orders", "events"), Layout(), own)
    assert columns.mapped["timestamp"] == "Paid at"
    assert columns.mapped["user_id"] == "Phone"
    assert columns.mapped["order_id"] == "Name"
    assert "price" not in columns.mapped
    assert columns.where == ("Cancelled at=", "Financial Status=paid")
    assert (columns.keep_rest, columns.drop_rest) == (True, False)
    _, columns = with_preset(preset_of("retailrocket", "events"), Layout(), ColumnMapping(time_format="%Y"))
    assert (columns.epoch, columns.time_format) == ("", "%Y")


def test_a_preset_of_another_kind_or_an_unknown_one_is_an_error() -> None:
    with pytest.raises(Unusable, match="--format shopify-orders is for events"):
        preset_of("shopify-orders", "items")
    with pytest.raises(Unusable, match=r"'shopfy' is not known\. alsobought load --presets lists them"):
        preset_of("shopfy", "events")


def test_a_column_that_a_preset_can_do_without_is_a_note_and_one_that_makes_an_event_an_error(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("Name,Email,Created at,Lineitem sku\n#1,mia,2026-03-02 09:00:00 +0100,CHAIR-1\n")
    layout, columns = with_preset(preset_of("shopify-orders", "events"), Layout(), ColumnMapping())
    with open_rows(file, layout) as rows:
        check_sample(rows, "events", columns, RULES, force=False)
    assert "has no column 'Lineitem price', so price is not loaded" in rows.notes
    assert "has no column 'Financial Status', so no row is left out by it" in rows.notes
    file.write_text("Name,Email,Lineitem sku\n#1,mia,CHAIR-1\n")
    with pytest.raises(Unusable, match=r"--map: .*orders\.csv has no column 'Created at'"):
        loaded("events", file, layout, columns)


def test_a_row_is_shown_as_it_is_stored_with_the_beginning_of_its_embedding() -> None:
    item = Item(item_id="tea", available=False, embedding=[0.5, 1.0, 0.25, 0.125])
    assert as_stored(item) == '{"item_id":"tea","available":false,"embedding":[0.5,1.0,0.25,"… 4 numbers"]}'
