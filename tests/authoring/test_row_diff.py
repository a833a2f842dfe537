"""Expected rows against those that came."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alsobought.authoring.row_diff import difference

Rows = list[dict[str, Any]]
NOON = datetime(2026, 1, 1, 12)  # as YAML reads a time without a zone
AT = 'row 1: at is "2026-01-01T12:00:01Z", not "2026-01-01T12:00:00"'
A, B = {"item_id": "a", "score": 0.5}, {"item_id": "b", "score": 0.25}


@pytest.mark.parametrize(
    ("wanted", "got", "options", "says"),
    [
        ([{"item_id": "a"}], [A], {}, ""),
        ([{"item_id": "a"}], [A], {"exact": True}, "row 1: score not named, and the case is exact"),
        ([A], [A], {"exact": True}, ""),
        ([B, A], [A, B], {}, 'row 1: item_id is "a", not "b"'),
        ([B, A], [A, B], {"ordered": False}, ""),
        ([A, A], [A, B], {"ordered": False}, 'no row for {"item_id":"a","score":0.5}'),
        ([A], [A, B], {"ordered": False}, "2 rows, not 1"),
        ([A, B], [A], {}, "1 row, not 2"),
        ([{"score": 0.501}], [A], {}, "row 1: score is 0.5, not 0.501"),
        ([{"score": 0.501}], [A], {"tolerance": 1e-2}, ""),
        ([{"times": [0.501, 1]}], [{"times": [0.5, 1]}], {"tolerance": 1e-2}, ""),
        ([{"times": [0.501]}], [{"times": [0.5, 1]}], {"tolerance": 1e-2}, "row 1: times is [0.5,1], not [0.501]"),
        ([{"titel": "x"}], [A], {}, "row 1: there is no column titel; there are item_id, score"),
        ([{"score": True}], [{"score": 1}], {}, "row 1: score is 1, not true"),
        ([{"score": 1}], [{"score": True}], {}, "row 1: score is true, not 1"),
        ([{"day": date(2026, 1, 1)}], [{"day": "2026-01-01"}], {}, ""),
        (
            [{"day": [date(2026, 1, 1)]}],
            [{"day": ["2026-01-02"]}],
            {},
            'row 1: day is ["2026-01-02"], not ["2026-01-01"]',
        ),
        ([{"at": NOON}], [{"at": "2026-01-01T12:00:00.000Z"}], {}, ""),
        ([{"at": NOON.replace(tzinfo=UTC)}], [{"at": "2026-01-01 13:00:00+01:00"}], {}, ""),
        ([{"at": NOON}], [{"at": "2026-01-01T12:00:01Z"}], {}, AT),
        ([{"at": NOON}], [{"at": "noon"}], {}, AT.replace("2026-01-01T12:00:01Z", "noon")),
        ([{"at": NOON}], [{"at": None}], {}, AT.replace('"2026-01-01T12:00:01Z"', "null")),
        ([{"score": None}], [{"score": 0}], {}, "row 1: score is 0, not null"),
    ],
)
def test_the_first_difference_is_said(wanted: Rows, got: Rows, options: dict[str, Any], says: str) -> None:
    assert difference(wanted, got, **options) == says


def test_a_row_that_fits_two_leaves_the_other_to_a_row_that_fits_only_that() -> None:
    got = [{"item_id": "tea", "baskets": 1}, {"item_id": "tea", "baskets": 2}]
    assert difference([{"item_id": "tea"}, {"baskets": 1}], got, ordered=False) == ""
    assert difference([{"baskets": 1}, {"baskets": 1}], got, ordered=False)


@given(st.lists(st.fixed_dictionaries({"a": st.integers(0, 3), "b": st.integers(0, 3)}), max_size=6), st.randoms())
def test_any_order_of_the_same_rows_is_the_same_without_order(rows: list[dict[str, int]], random: object) -> None:
    mixed = list(rows)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    partly = [{name: row[name] for name in list(row)[: 1 + place % 2]} for place, row in enumerate(rows)]
    assert difference(partly, mixed, ordered=False) == ""
    assert difference([*rows, {"a": 9}], mixed, ordered=False)
