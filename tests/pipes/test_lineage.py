"""Which columns feed which: of the project's pipes, of awkward texts, and of one that nobody can follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alsobought.pipes.library import Library
from alsobought.pipes.lineage import Lineage, lineage, sharing
from alsobought.serving.answers import describer
from alsobought.storage.warehouse import Warehouse
from tests.support.engines import Engine, drop
from tests.support.project import ROOT

pytestmark = pytest.mark.embedded  # what is read is text

Reads = Callable[[str], Lineage]


@pytest.fixture(scope="module")
def warehouse(on: Engine) -> Iterator[Warehouse]:
    shop = on.shop("lineage")
    yield shop.warehouse
    drop(shop)


@pytest.fixture(scope="module")
def ours(warehouse: Warehouse) -> Library:
    return Library(ROOT / "pipes", ROOT / "sql" / "macros", warehouse.schema, describer(warehouse))


@pytest.fixture
def reads(warehouse: Warehouse, tmp_path: Path) -> Reads:
    """The lineage of a text."""

    def of(text: str) -> Lineage:
        (tmp_path / "a.sql").write_text(text)
        library = Library(tmp_path, ROOT / "sql" / "macros", warehouse.schema, describer(warehouse))
        return lineage(library["a"], warehouse.schema())

    return of


def test_the_columns_of_a_pipe_are_followed_to_its_tables_and_to_the_catalogue(
    ours: Library, warehouse: Warehouse
) -> None:
    pairs = ["co_baskets.item_key", "co_baskets.other_item_key"]
    assert lineage(ours["also_bought"], warehouse.schema()) == Lineage(
        tables={
            "catalogue": ["available", "brand", "category", "item_id", "price", "title"],
            "co_baskets": ["baskets", "item_key", "month", "other_item_key", "weight"],
            "daily_popularity": ["day", "event_type", "item_key", "orders"],
            "owners": ["owner_key"],
            "user_items": ["event_type", "events", "item_id", "user_id"],
        },
        columns={
            "item_id": ["catalogue.item_id", pairs[0]],
            "other_item_id": ["catalogue.item_id", pairs[1]],
            "title": ["catalogue.title", pairs[1]],
            "category": ["catalogue.category", pairs[1]],
            "baskets": ["co_baskets.baskets"],
            "score": [
                "co_baskets.baskets",
                "co_baskets.item_key",
                "co_baskets.month",
                "co_baskets.weight",
                "daily_popularity.orders",
            ],
            "reason": ["co_baskets.baskets"],
            "source": [],
        },
        macros={
            "catalogue.sql": ["keys_of", "pair_columns"],
            "constants.sql": ["half_life_days", "max_pairs", "weight_unit"],
            "lists.sql": ["boosted", "is_eligible", "is_unseen", "reranked"],
            "reasons.sql": ["bought_together", "or_pinned"],
            "rules.csv": ["rules"],
            "signals.sql": ["decay"],
        },
    )


def test_the_scores_of_a_pair_are_followed_to_the_totals(ours: Library, warehouse: Warehouse) -> None:
    found = lineage(ours["also_bought_by_score"], warehouse.schema())
    assert found.tables["item_totals"] == ["item_key", "orders"]
    assert found.columns["score"] == [
        "co_baskets.baskets",
        "co_baskets.month",
        "co_baskets.weight",
        "item_totals.orders",
    ]
    assert found.macros["scores.sql"] == ["pair_score"]


def test_every_pipe_of_the_project_can_be_followed(ours: Library, warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    for name in ours.names():
        found = lineage(ours[name], schema)
        assert found.followed, name
        assert set(found.columns) == {column for column, _ in ours[name].columns}
        assert set(ours[name].tables) <= set(found.tables)
        counted = {
            "with_items",
            "source",
            "sources",
            "model",
            "items",
            "baskets",
            "reason",
            "propensity",
        }  # made of no column: count(), a name, 1 unless asked to explore
        assert {column for column, fed in found.columns.items() if not fed} <= counted, name


def test_a_value_named_with_a_with_is_no_table(ours: Library, warehouse: Warehouse) -> None:
    """`newest` and `hours_before` of trending are scalars; for a place it reads another table."""
    found = lineage(ours["trending"], warehouse.schema())
    hours = ("item_hours", "place_hours")
    assert found.columns["usual"] == [f"{table}.{column}" for table in hours for column in ("events", "hour")]
    assert set(found.tables) == {"catalogue", *hours, "owners", "user_items"}


def test_unions_joins_and_sub_queries_are_followed(reads: Reads) -> None:
    found = reads(
        "-- X.\n"
        "with both as (select item_id as id, brand as word from items union all select item_id, event_type from events)\n"
        "select id, word, (select max(day) from daily_popularity) as newest, purchases\n"
        "from both inner join (select item_id as other, count() as purchases from events group by other) as n on n.other = id\n"
        "order by all limit 5\n"
    )
    assert found.columns == {
        "id": ["events.item_id", "items.item_id"],
        "word": ["events.event_type", "items.brand"],
        "newest": ["daily_popularity.day"],
        "purchases": [],
    }
    assert found.tables == {
        "daily_popularity": ["day"],
        "events": ["event_type", "item_id"],
        "items": ["brand", "item_id"],
    }


def test_what_only_an_optional_parameter_reads_is_read(reads: Reads) -> None:
    found = reads(
        "-- X.\n-- :brand String?  only this\n"
        "select item_id from items where 1 {% if brand %} and brand = {{ brand }} {% endif %} order by item_id limit 5\n"
    )
    assert found.tables == {"items": ["brand", "item_id"]}
    assert found.columns == {"item_id": ["items.item_id"]}


def test_a_text_that_cannot_be_followed_still_has_its_tables(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.pipes.lineage.MAX_NODES", 10)
    found = reads("-- X.\n{% from 'catalogue.sql' import item %}\nselect item_id, {{ item('title', 'cityHash64(item_id)') }} as t"
                  " from items order by item_id limit 5\n")  # fmt: skip
    assert found == Lineage(
        {"catalogue": [], "items": []}, {"item_id": [], "t": []}, {"catalogue.sql": ["item"]}, followed=False
    )


def test_pipes_that_share_macros_are_named(ours: Library) -> None:
    shared = sharing(ours, ours["also_bought"])
    assert {"popular", "trending"} <= set(shared["signals.sql"])
    assert "also_bought" not in shared["catalogue.sql"]
    assert set(sharing(ours, ours["active_users"])) == {"reasons.sql"}
    people = {"active_users", "users_for_item"}
    assert set(shared["rules.csv"]) == set(shared["lists.sql"]) - people, "all lists of items obey it"
