"""Expected rows against actual rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alsobought.authoring.row_diff import first_difference

Rows = list[dict[str, Any]]
NOON = datetime(2026, 1, 1, 12)  # as YAML reads a time without a zone
AT = 'row 1: at is "2026-01-01T12:00:01Z", not "2026-01-01T12:00:00"'
A, B = {"item_id": "a", "score": 0.5}, {"item_id": "b", "score": 0.25}


@pytest.mark.parametrize(
    ("expected", "actual", "options", "difference"),
    [
        ([{"item_id": "a"}], [A], {}, ""),
        ([{"item_id": "a"}], [A], {"exact": True}, "row 1: the case is exact and does not list score"),
        ([A], [A], {"exact": True}, ""),
        ([B, A], [A, B], {}, 'row 1: item_id is "a", not "b"'),
        ([B, A], [A, B], {"ordered": False}, ""),
        ([A, A], [A, B], {"ordered": False}, 'no row matches {"item_id":"a","score":0.5}'),
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
def test_the_first_difference_is_described(
    expected: Rows, actual: Rows, options: dict[str, Any], difference: str
) -> None:
    assert first_difference(expected, actual, **options) == difference


def test_a_row_with_two_matches_leaves_one_to_a_row_with_only_that() -> None:
    actual = [{"item_id": "tea", "baskets": 1}, {"item_id": "tea", "baskets": 2}]
    assert first_difference([{"item_id": "tea"}, {"baskets": 1}], actual, ordered=False) == ""
    assert first_difference([{"baskets": 1}, {"baskets": 1}], actual, ordered=False)


@given(st.lists(st.fixed_dictionaries({"a": st.integers(0, 3), "b": st.integers(0, 3)}), max_size=6), st.randoms())
def test_unordered_rows_match_in_any_order(rows: list[dict[str, int]], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    partial = [{name: row[name] for name in list(row)[: 1 + index % 2]} for index, row in enumerate(rows)]
    assert first_difference(partial, shuffled, ordered=False) == ""
    assert first_difference([*rows, {"a": 9}], shuffled, ordered=False)
