"""One list from two answers: columns, keys, fallbacks, variants of an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from types import SimpleNamespace
from typing import Any

from alsobought.pipes.variants import NoVariants
from alsobought.serving.answer import Answer
from alsobought.serving.interleaving import Side, interleaved
from alsobought.storage.results import Column, Statistics


def answer(name: str, columns: Sequence[str], *rows: Sequence[Any], key: str = "", source: bool = False) -> Answer:
    pipe: Any = SimpleNamespace(name=name, version="v1", header=SimpleNamespace(key=key), adds_source=source)
    meta = [Column(column, "String") for column in (*columns, *(["source"] if source else []))]
    return Answer(pipe, None, meta, [list(row) for row in rows], Statistics(0.0, 1, 1), pipes=(pipe,))


def merged(
    first: Answer, second: Answer, limit: int | None = None, keys: Sequence[str] = (), variants: Any = None
) -> Answer:
    sides = [Side("control", first), Side("new", second)]
    return interleaved(sides, keys, limit, variants or NoVariants(), lambda _: cycle([0]))


def test_the_columns_are_those_of_the_first_and_what_the_second_lacks_is_null() -> None:
    first = answer("bought", ["other_item_id", "score"], ["tea", 2], ["mug", 1])
    second = answer("liked", ["views", "item_id"], [9, "pot"], [8, "tea"], [7, "cup"])
    got = merged(first, second, 4)
    assert [column.name for column in got.meta] == ["other_item_id", "score"]
    assert got.data == [["tea", 2], ["pot", None], ["mug", 1], ["cup", None]]
    assert [*got.drafted_by] == ["control/bought", "new/liked", "control/bought", "new/liked"]
    assert (got.key, got.next, got.statistics.rows_read) == (None, None, 2)


def test_what_fills_a_list_up_is_of_no_team() -> None:
    first = answer("bought", ["item_id"], ["tea", "bought"], ["lamp", "popular"], source=True)
    second = answer("liked", ["item_id"], ["mug"], ["pot"], ["cup"])
    got = merged(first, second, 5)
    assert got.data == [["tea", "bought"], ["mug", "liked"], ["pot", "liked"], ["cup", "liked"], ["lamp", "popular"]]
    assert got.drafted_by == ("control/bought", "new/liked", "liked", "liked", "popular")


def test_each_list_of_a_pipe_with_a_key_is_drafted_and_a_pipe_without_keys_drafts_into_each() -> None:
    first = answer("bought", ["item_id", "other_item_id"], ["tea", "mug"], ["pot", "cup"], key="item_id")
    second = answer("liked", ["item_id"], ["lamp"], ["mug"])
    got = merged(first, second, 2, ["tea", "pot", "none"])
    assert got.data == [
        ["tea", "mug"],
        ["tea", "lamp"],
        ["pot", "cup"],
        ["pot", "lamp"],
        ["none", "lamp"],
        ["none", "mug"],
    ]
    assert got.drafted_by[-2:] == ("liked", "liked"), "the first has nothing for it"


def test_items_of_one_product_are_one_item() -> None:
    class Groups(NoVariants):
        exist = True

        def groups(self, item_ids: Any) -> Mapping[str, int]:
            return {item: 1 for item in item_ids if item.startswith("mug")}

    first, second = answer("a", ["item_id"], ["mug-red"], ["tea"]), answer("b", ["item_id"], ["mug-blue"], ["pot"])
    assert merged(first, second, 4, variants=Groups()).data == [["mug-red"], ["pot"], ["tea"]]
