"""Cells of CSV and Parquet are converted to the type of their field or rejected; JSON must have it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from alsobought.errors import Unusable
from alsobought.events import Event, Rules
from alsobought.items import Item
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.row_converter import row_reader
from tests.conftest import NOON

RULES = Rules(NOON)
VIEW = {"event_type": "view", "user_id": "u", "item_id": "tea"}


def read(row: Any, kind: str = "events", **columns: Any) -> Event | Item | str:
    """The event or item, or the problem."""
    accepted, rejected = row_reader(kind, ColumnMapping(**columns), RULES)([row])
    return accepted[0] if accepted else rejected[0].problem


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("user_id", 17, "17"),
        ("user_id", 17.0, "17"),
        ("user_id", Decimal("17"), "17"),
        ("user_id", b"ada", "ada"),
        ("user_id", "017", "017"),
        ("user_id", True, "true"),
        ("order_id", date(2026, 1, 1), "2026-01-01"),
        ("quantity", " 3 ", 3),
        ("quantity", "3.0", 3),
        ("quantity", 3.0, 3),
        ("quantity", Decimal("3"), 3),
        ("quantity", "", 1),
        ("quantity", None, 1),
        ("quantity", float("nan"), 1),
        ("price", "2.50", 2.5),
        ("price", "1e2", 100.0),
        ("price", Decimal("2.50"), 2.5),
        ("properties", '{"a": [1]}', {"a": [1]}),
        ("properties", {"a": 1}, {"a": 1}),
        ("timestamp", "2026-01-01T13:00:00+02:00", datetime(2026, 1, 1, 11, tzinfo=UTC)),
        ("timestamp", "2026-01-01 12:00", NOON),
        ("timestamp", " 2026-01-01 12:00:00 UTC", NOON),
        ("timestamp", "1971-01-01", datetime(1971, 1, 1, tzinfo=UTC)),
        ("timestamp", date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        ("timestamp", datetime(2026, 1, 1, 12), NOON),
    ],
)
def test_a_cell_is_converted_to_the_type_of_its_field(field: str, cell: Any, value: Any) -> None:
    event = read(VIEW | {field: cell})
    assert isinstance(event, Event), event
    assert getattr(event, field) == value
    assert type(getattr(event, field)) is type(value)


@pytest.mark.parametrize(
    ("field", "cell", "problem"),
    [
        ("user_id", 1.5, "user_id: expected `str`, got `float`"),
        ("user_id", b"\xff", "user_id: not UTF-8"),
        ("quantity", "two", "quantity: 'two' is not a number"),
        ("quantity", "2.5", "quantity: expected `int`"),
        ("quantity", 2**31, "quantity: expected `int` <= 2147483647"),
        ("price", "nan", "price: 'nan' is not a number"),
        ("price", float("inf"), "price: inf is not a number"),
        ("price", "2,50", "price: expected `float`"),
        ("price", "-1", "price: expected `float` >= 0.0"),
        ("properties", "red", "properties: not JSON"),
        ("timestamp", "yesterday", "timestamp: 'yesterday' is not a time like 2026-"),
        ("timestamp", "1767225600", "timestamp: 1767225600 is a number; pass --epoch"),
        ("timestamp", 20260101, "timestamp: 20260101 is a number; pass --epoch"),
        ("timestamp", "1970-12-31", "timestamp: 1970-12-31 is before 1971"),
        ("item_id", "", "item_id: missing"),
        ("colour", "red", "colour: not a field"),
        ("item_id", "x" * 70_000, "at most 65,536 are accepted"),
    ],
)
def test_a_cell_that_cannot_be_converted_is_rejected_with_its_field(field: str, cell: Any, problem: str) -> None:
    reason = read(VIEW | {field: cell})
    assert isinstance(reason, str)
    assert problem in reason


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "cells"])
def test_numbers_are_times_only_with_epoch(as_json: bool) -> None:
    def at(value: Any, epoch: str) -> Any:
        row: Any = VIEW | {"timestamp": value}
        event = read(json.dumps(row).encode() if as_json else row, epoch=epoch)
        return event.timestamp if isinstance(event, Event) else event

    seconds = int(NOON.timestamp())
    assert at(seconds, "s") == at(seconds * 1000, "ms") == at(seconds + 0.0, "s") == NOON
    assert at("2026-01-01T12:00:00Z", "s") == NOON
    assert "--epoch ms?" in at(seconds * 1000, "s")
    assert "is before 1971" in at(seconds, "ms")
    if as_json:  # where the size of the number shows its unit
        assert at(seconds, "") == at(seconds * 1000, "") == NOON
    else:
        assert isinstance(at(seconds, ""), str)


def test_json_values_must_have_the_type_of_their_field_also_when_mapped() -> None:
    row = {"event_type": "view", "user_id": "u", "sku": "tea"}
    event = read(json.dumps(row | {"quantity": 2}).encode(), mapped={"item_id": "sku"})
    assert isinstance(event, Event)
    assert (event.item_id, event.quantity) == ("tea", 2)
    assert read(json.dumps(row | {"quantity": "two"}).encode(), mapped={"item_id": "sku"}) == (
        'quantity: "two" is not a number'
    )
    assert read(b"[1]", mapped={"item_id": "sku"}) == "not an object"
    assert str(read(b"{", mapped={"item_id": "sku"})).startswith("not JSON")


def test_a_column_may_become_two_fields_and_constants_take_precedence() -> None:
    event = read(
        {"customer": "7", "sku": "tea", "event_type": "x"},
        mapped={"user_id": "customer", "session_id": "customer", "item_id": "sku"},
        constants={"event_type": "view", "quantity": "2"},
        dropped=frozenset(["event_type"]),
    )
    assert isinstance(event, Event)
    assert (event.user_id, event.session_id, event.event_type, event.quantity) == ("7", "7", "view", 2)


def test_other_columns_are_added_to_the_properties_of_the_row() -> None:
    event = read(VIEW | {"properties": '{"a": 1}', "b": date(2026, 1, 1), "c": Decimal(2), "d": ""}, keep_rest=True)
    assert isinstance(event, Event)
    assert event.properties == {"a": 1, "b": "2026-01-01", "c": "2"}
    item = read({"item_id": 7, "available": "f", "colour": "red", "weight": 2.5}, "items", keep_rest=True)
    assert item == Item(item_id="7", available=False, attributes={"colour": "red", "weight": "2.5"})


@pytest.mark.parametrize("cell", ["[0.5, -1]", [0.5, -1.0]], ids=["text", "list"])
def test_an_embedding_is_a_json_cell_or_a_parquet_list(cell: object) -> None:
    assert read({"item_id": "tea", "embedding": cell}, "items") == Item(item_id="tea", embedding=[0.5, -1])


@pytest.mark.parametrize("cell", ["[NaN]", [0.5, float("nan")], "0.5 1"])
def test_an_invalid_embedding_is_rejected(cell: object) -> None:
    problem = read({"item_id": "tea", "embedding": cell}, "items")
    assert isinstance(problem, str)
    assert problem.startswith("embedding: ")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"mapped": {"usr": "x"}}, "usr is not a field of events"),
        ({"constants": {"usr": "x"}}, "usr is not a field of events"),
        ({"constants": {"price": "x"}}, "--set price=x: 'x' is not a number"),
        ({"constants": {"event_type": "buy"}}, "--set event_type=buy: 'buy' is not one of"),
        ({"mapped": {"price": "x"}, "constants": {"price": "1"}}, "price is both mapped and set"),
    ],
)
def test_flags_that_no_row_can_satisfy_are_an_error(columns: dict[str, Any], problem: str) -> None:
    with pytest.raises(Unusable, match=problem.split(" of ", maxsplit=1)[0]):
        row_reader("events", ColumnMapping(**columns), RULES)
