"""Rows are filled down, left out by conditions, and made of the elements of a list, with numbers that stay the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alsobought.errors import Unusable
from alsobought.loading.conditions import condition_of
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.readers import Malformed
from alsobought.loading.row_shaping import RowShaper


def shaped(rows: list[Any], **columns: Any) -> tuple[list[tuple[int, Any]], int]:
    """The numbered rows, JSON decoded, and how many were left out."""
    shaper = RowShaper(ColumnMapping(**columns))
    numbered = [
        (number, json.loads(row) if isinstance(row, bytes) else row) for number, row in shaper(enumerate(rows, 1))
    ]
    return numbered, shaper.left_out


def column(rows: list[Any], name: str, **columns: Any) -> list[Any]:
    return [row[name] for _, row in shaped([dict(row) for row in rows], **columns)[0]]


ORDERS = [
    {"order": "1", "paid": "monday"},
    {"order": "1", "paid": ""},
    {"order": "2", "paid": " "},
    {"order": "", "paid": ""},
    {"order": "3", "paid": "friday"},
    {"order": "", "paid": ""},
]


def test_an_empty_cell_is_that_of_the_row_above() -> None:
    assert column(ORDERS, "paid", fill_down=("paid",)) == ["monday"] * 4 + ["friday"] * 2
    assert column(ORDERS, "order", fill_down=("order",)) == ["1", "1", "2", "2", "3", "3"]


def test_nothing_is_filled_from_another_group() -> None:
    filled = column(ORDERS, "paid", fill_down=("paid",), fill_within="order")
    assert filled == ["monday", "monday", " ", "", "friday", "friday"]


def test_nothing_is_filled_across_a_row_that_cannot_be_read() -> None:
    rows, _ = shaped([{"paid": "monday"}, Malformed("2 cells", []), {"paid": ""}], fill_down=("paid",))
    assert rows[2] == (3, {"paid": ""})


def test_json_is_filled_too() -> None:
    rows, _ = shaped([b'{"a": 1, "b": 2}', b'{"a": null}', b'{"a": ""}'], fill_down=("a",))
    assert [row["a"] for _, row in rows] == [1, 1, 1]


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        (("status=paid",), [1, 4]),
        (("status=PAID|completed",), [1, 2, 4]),
        (("status!=paid|completed",), [3, 5]),
        (("status=",), [5]),
        (("status!=",), [1, 2, 3, 4]),
        (("status=paid", "shop=1"), [1]),
        (("other|status=paid",), [1, 4]),
        (("missing=",), [1, 2, 3, 4, 5]),
    ],
)
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "cells"])
def test_rows_are_left_out_by_their_values(where: tuple[str, ...], numbers: list[int], as_json: bool) -> None:
    values = [("paid", "1.0"), ("completed", "1"), ("refunded", "1"), (" Paid ", "2"), ("", "1")]
    rows: list[Any] = [{"status": status, "shop": shop} for status, shop in values]
    left, left_out = shaped([json.dumps(row).encode() for row in rows] if as_json else rows, where=where)
    assert [number for number, _ in left] == numbers
    assert left_out == 5 - len(numbers)


def test_rows_are_filled_before_they_are_left_out() -> None:
    assert column(ORDERS, "order", fill_down=("paid",), fill_within="order", where=("paid=monday",)) == ["1", "1"]


def test_each_element_is_a_row_with_a_number_that_does_not_depend_on_others() -> None:
    rows = [
        b'{"id": 1, "items": [{"sku": "a"}, {"sku": "b"}]}',
        b'{"id": 2, "items": []}',
        b'{"id": 3, "items": [{"sku": "c"}]}',
        b"nonsense",
    ]
    numbered, left_out = shaped(rows[:3], each="items", where=("items.sku!=a",))
    assert numbered == [
        (1001, {"id": 1, "items": {"sku": "b"}}),
        (2000, Malformed("items: no elements", {"id": 2, "items": []})),
        (3000, {"id": 3, "items": {"sku": "c"}}),
    ]
    assert left_out == 1
    shaper = RowShaper(ColumnMapping(each="items"))
    assert list(shaper([(4, rows[3])])) == [(4000, b"nonsense")]
    assert (shaper.row_number(3002), shaper.first_number(3002)) == (3, 3000)


def test_a_row_with_too_many_elements_is_rejected() -> None:
    ((number, row),), _ = shaped([{"items": [{}] * 1000}], each="items")
    assert number == 1000
    assert row.problem == "items: 1,000 elements; fewer than 1,000 are accepted"


@pytest.mark.parametrize("text", ["paid", "=paid", "!=paid"])
def test_a_condition_without_a_column_or_a_value_is_an_error(text: str) -> None:
    with pytest.raises(Unusable, match="is not of the form COLUMN=VALUE"):
        condition_of(text)


def test_only_a_column_can_have_elements() -> None:
    with pytest.raises(Unusable, match=r"'a\.b' is not the name of a column"):
        RowShaper(ColumnMapping(each="a.b"))
