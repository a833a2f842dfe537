"""Column lineage of the project's pipes, of complex texts, and of one beyond sqlglot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alsobought.pipes.library import Library
from alsobought.pipes.lineage import Lineage, lineage, sharing
from alsobought.pipes.validation_cache import ValidationCache, validation_cache_file
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
    """The pipes of the project, whose validation other tests may have done."""
    cache = ValidationCache(validation_cache_file(), lambda: warehouse.version)
    return Library(ROOT / "pipes", ROOT / "sql" / "macros", warehouse.schema, describer(warehouse), cache=cache)


@pytest.fixture
def reads(warehouse: Warehouse, tmp_path: Path) -> Reads:
    """The lineage of a text."""

    def of(text: str) -> Lineage:
        (tmp_path / "a.sql").write_text(text)
        library = Library(tmp_path, ROOT / "sql" / "macros", warehouse.schema, describer(warehouse))
        return lineage(library["a"], warehouse.schema())

    return of


def test_the_lineage_of_a_pipe_reaches_its_tables_and_the_catalogue(ours: Library, warehouse: Warehouse) -> None:
    """With a filter it reads all pairs, without one the serving table."""
    row = "item_companions.companions"
    other = ["co_baskets.other_item_key", row]
    assert lineage(ours["also_bought"], warehouse.schema()) == Lineage(
        tables={
            "catalogue": [
                "available",
                "brand",
                "category",
                "currency",
                "image",
                "item_id",
                "price",
                "tags",
                "title",
                "url",
            ],
            "co_baskets": ["baskets", "item_key", "month", "other_item_key", "weight"],
            "item_companions": ["companions", "item_key"],
            "item_demand": ["week_orders"],
            "items": [],
            "owners": ["owner_key"],
            "titles": ["title"],
            "user_history": ["items", "user_id"],
        },
        columns={
            "item_id": ["catalogue.item_id", "co_baskets.item_key", "item_companions.item_key"],
            "other_item_id": ["catalogue.item_id", *other],
            "title": ["catalogue.title", *other, "titles.title"],
            "category": ["catalogue.category", *other],
            "price": ["catalogue.price", *other],
            "currency": ["catalogue.currency", *other],
            "url": ["catalogue.url", *other],
            "image": ["catalogue.image", *other],
            "baskets": ["co_baskets.baskets", row],
            "score": [
                "co_baskets.baskets",
                "co_baskets.item_key",
                "co_baskets.month",
                "co_baskets.other_item_key",
                "co_baskets.weight",
                row,
                "item_demand.week_orders",
            ],
            "reason": ["co_baskets.baskets", row],
            "source": [],
        },
        macros={
            "catalogue.sql": ["is_other_product", "pair_columns", "sum_of_group"],
            "companions.sql": ["companions_of", "since_reference"],
            "demand.sql": ["share_of_week"],
            "lists.sql": ["boosted", "is_eligible", "is_unseen", "reranked"],
            "reasons.sql": ["bought_together", "or_pinned"],
            "rules.csv": ["rules"],
        },
    )


def test_the_lineage_of_a_pair_score_reaches_the_totals(ours: Library, warehouse: Warehouse) -> None:
    result = lineage(ours["also_bought_by_score"], warehouse.schema())
    assert result.tables["item_totals"] == ["item_key", "orders"]
    assert result.columns["score"] == [
        "co_baskets.baskets",
        "co_baskets.month",
        "co_baskets.weight",
        "item_totals.orders",
    ]
    assert result.macros["scores.sql"] == ["pair_score"]


def test_every_pipe_of_the_project_has_a_lineage(ours: Library, warehouse: Warehouse) -> None:
    schema = warehouse.schema()
    for name in ours.names():
        result = lineage(ours[name], schema)
        assert result.followed, name
        assert set(result.columns) == {column for column, _ in ours[name].columns}
        assert set(ours[name].tables) <= set(result.tables)
        counted = {
            "with_items",
            "source",
            "sources",
            "model",
            "items",
            "baskets",
            "reason",
            "propensity",
            "impressions",
            "fault",
            "number",
            "share",
            "pairs",
            "click_through_rate",
            "click_through_rate_low",
            "click_through_rate_high",
        }  # without source columns: count(), names, 1 unless the request explores
        assert {column for column, sources in result.columns.items() if not sources} <= counted, name


def test_a_scalar_in_a_with_is_not_a_table(ours: Library, warehouse: Warehouse) -> None:
    """`newest` and `hours_before` of trending are scalars; for a segment, or to explore new items, it reads other tables."""
    result = lineage(ours["trending"], warehouse.schema())
    assert result.columns["usual"] == ["events.timestamp", "hourly_voices.hour", "hourly_voices.voices"]
    tables = {
        "catalogue",
        "daily_popularity",
        "events",
        "hourly_voices",
        "items",
        "owners",
        "titles",
        "user_history",
        "users",
    }
    assert set(result.tables) == tables


def test_the_lineage_follows_an_array_join(reads: Reads) -> None:
    result = reads(
        "-- X.\nselect user_id, one.event_type as happened, sum(one.events) as times, n from user_history\n"
        "array join items as one, user_history.items.events as n\n"
        "group by user_id, happened, n order by all limit 5\n"
    )
    items = ["user_history.items"]
    assert result.columns == {"user_id": ["user_history.user_id"], "happened": items, "times": items, "n": items}
    assert result.tables == {"user_history": ["items", "user_id"]}


def test_the_lineage_covers_unions_joins_and_sub_queries(reads: Reads) -> None:
    result = reads(
        "-- X.\n"
        "with both as (select item_id as id, brand as word from items union all select item_id, event_type from events)\n"
        "select id, word, (select max(day) from daily_popularity) as newest, purchases\n"
        "from both inner join (select item_id as other, count() as purchases from events group by other) as n on n.other = id\n"
        "order by all limit 5\n"
    )
    assert result.columns == {
        "id": ["events.item_id", "items.item_id"],
        "word": ["events.event_type", "items.brand"],
        "newest": ["daily_popularity.day"],
        "purchases": [],
    }
    assert result.tables == {
        "daily_popularity": ["day"],
        "events": ["event_type", "item_id"],
        "items": ["brand", "item_id"],
    }


def test_the_lineage_covers_optional_parameters(reads: Reads) -> None:
    result = reads(
        "-- X.\n-- :brand String?  only this\n"
        "select item_id from items where 1 {% if brand %} and brand = {{ brand }} {% endif %} order by item_id limit 5\n"
    )
    assert result.tables == {"items": ["brand", "item_id"]}
    assert result.columns == {"item_id": ["items.item_id"]}


def test_a_text_beyond_sqlglot_still_has_its_tables(reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.pipes.lineage.MAX_NODES", 10)
    result = reads("-- X.\n{% from 'catalogue.sql' import item %}\nselect item_id, {{ item('title', 'cityHash64(item_id)') }} as t"
                  " from items order by item_id limit 5\n")  # fmt: skip
    assert result == Lineage(
        {"catalogue": [], "items": []}, {"item_id": [], "t": []}, {"catalogue.sql": ["item"]}, followed=False
    )


def test_pipes_that_share_macros_are_named(ours: Library) -> None:
    shared = sharing(ours, ours["also_bought"])
    assert {"bought_together", "for_session"} <= set(shared["companions.sql"])
    assert "also_bought" not in shared["catalogue.sql"]
    assert set(sharing(ours, ours["active_users"])) == {"reasons.sql", "users.sql"}
    people = {"active_users", "users_for_item"}
    assert set(shared["rules.csv"]) == set(shared["lists.sql"]) - people, "all lists of items obey it"
