"""Learners: correct on data with a known answer, deterministic, and atomic."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item
from alsobought.learning import table_swap
from alsobought.learning.context import Context
from alsobought.learning.ease import strongest, weights
from alsobought.learning.registry import LEARNERS, learn, learners_of
from alsobought.learning.runs import latest_runs
from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.storage.count_tables import count_tables
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.process import Run, serving, write
from tests.support.project import ROOT

TEA, OIL = ("green tea", "black tea", "mug", "pot"), ("oil", "salt", "pan", "lid")


@contextlib.contextmanager
def no_bar(title: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    yield lambda _: None


def context_of(shop: Service, **fields: Any) -> Context:
    return Context(shop.warehouse, ROOT, NOON, no_bar, **fields)


def purchases() -> list[dict[str, Any]]:
    """Forty users: half buy from one shelf, half from the other, and each omits some items."""
    return [
        {"event_type": "purchase", "user_id": f"u{user}", "order_id": f"o{user}", "item_id": item}
        for user in range(40)
        for index, item in enumerate(TEA if user % 2 else OIL)
        if (user // 2 + index) % 5
    ]


def store(shop: Service) -> None:
    shop.writer.submit(Submission([Event(**event) for event in purchases()])).result()


def neighbours(shop: Service) -> dict[str, list[tuple[str, float]]]:
    names = dict(shop.warehouse.rows("select item_key, any(item_id) from item_ids group by all").data)
    rows = shop.warehouse.rows("select item_key, neighbours from item_neighbours order by item_key").data
    return {names[key]: [(names[other], weight) for other, weight in pairs] for key, pairs in rows}


def test_ease_has_the_values_calculated_by_hand() -> None:
    baskets = ["ABC", "ABD", "AB", "AC", "BCD", "A", "CE", "DE"]
    matrix = sparse.csr_matrix([[float(item in basket) for item in "ABCDE"] for basket in baskets])
    matrix_weights = weights(matrix, 1)
    assert matrix_weights[0] == pytest.approx([0, 0.36, 0.1889, -0.0427, -0.0296], abs=5e-5)
    lists = {item: (others.tolist(), value) for item, others, value in strongest(matrix_weights, 3)}
    assert lists[0][0] == [1, 2], "negative weights are dropped"
    assert lists[0][1] == pytest.approx([0.36, 0.1889], abs=5e-5)


def test_an_item_is_in_the_lists_with_its_largest_weights() -> None:
    matrix_weights = np.array([[0, 0.5, 0.1], [0.4, 0, 0.3], [0.2, 0.6, 0]], np.float32)
    lists = {item: others.tolist() for item, others, _ in strongest(matrix_weights, 1)}
    assert lists == {1: [0, 2], 2: [1]}


def test_items_of_the_same_users_become_neighbours(shop: Service) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    lists = neighbours(shop)
    assert {item: {other for other, _ in pairs} for item, pairs in lists.items()} == {
        item: set(shelf) - {item} for shelf in (TEA, OIL) for item in shelf
    }
    assert all(weight > 0 for pairs in lists.values() for _, weight in pairs)
    run = latest_runs(shop.warehouse)["neighbours"]
    assert (run.events, run.rows, run.options["people"]) == (len(purchases()), {"item_neighbours": 8}, 2)


def test_learning_is_deterministic(shop: Service) -> None:
    store(shop)
    results = [neighbours(shop) for _ in range(2) if learn("neighbours", context_of(shop), {"people": 2})]
    assert results[0] == results[1] != {}


def test_too_little_data_is_an_error_and_changes_nothing(shop: Service) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    before = neighbours(shop)
    with pytest.raises(Unusable, match="0 items have 500 users or more"):
        learn("neighbours", context_of(shop), {"people": 500})
    with pytest.raises(Unusable, match="no option 'peple'"):
        learn("neighbours", context_of(shop), {"peple": 2})
    assert neighbours(shop) == before


def test_a_run_that_fails_leaves_the_old_table_and_nothing_else(shop: Service) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    before, runs = neighbours(shop), latest_runs(shop.warehouse)

    def fail(table: str, replacement: str) -> None:
        assert shop.warehouse.trusted_rows(f"select count() from {replacement}").data == [[8]]
        raise OSError

    with pytest.raises(OSError):
        learn("neighbours", context_of(shop, exchange=fail), {"people": 2})
    assert (neighbours(shop), latest_runs(shop.warehouse)) == (before, runs)
    assert replacement_tables(shop) == []
    databases = shop.warehouse.trusted_rows("select name from system.databases").data
    assert [table_swap.replacement_database(shop.warehouse)] not in databases


def replacement_tables(shop: Service) -> list[list[str]]:
    sql = f"select name from system.tables where database = '{table_swap.replacement_database(shop.warehouse)}'"
    return shop.warehouse.trusted_rows(sql).data


def test_of_two_concurrent_runs_the_later_one_wins(shop: Service) -> None:
    store(shop)
    context = context_of(shop)
    rows = [{"item_key": 1, "neighbours": [(2, 0.5)]}]
    with pytest.raises(Unusable, match="another command"), context.replacement("item_neighbours") as first:
        with context.replacement("item_neighbours") as second:
            second.insert(rows)
        first.insert(rows)
    assert shop.warehouse.rows("select item_key from item_neighbours").data == [[1]]


def test_learned_tables_are_no_count_tables_and_have_their_learner(shop: Service) -> None:
    learned = {table for learner in LEARNERS.values() for table in learner.tables}
    assert learned & {table.name for table in count_tables(shop.warehouse)} == set()
    assert learned <= shop.warehouse.tables()
    assert [learner.name for learner in learners_of(["items", "item_neighbours"])] == ["neighbours"]
    assert "brought_embeddings" not in {table.name for table in count_tables(shop.warehouse)}, "from items, not events"


@pytest.mark.thorough
@pytest.mark.journey
def test_learning_beside_a_service_works_after_a_kill(run_migrated: Run, tmp_path: Path) -> None:
    """The command computes; the process that holds the folder queries and exchanges the tables."""
    run = run_migrated
    loaded = run("load", "events", write(tmp_path / "events.ndjson", *purchases()))
    assert loaded.status == 0, loaded.err
    with serving(run) as service:
        killed = run("learn", "neighbours", "--people", 2, ALSOBOUGHT_FAILPOINT="learn.inserted")
        assert killed.status == -9
        assert json.loads(run("learn", "--json").out)[0]["learned"] is None
        finished = run("learn", "neighbours", "--people", 2, "--json")
        assert (finished.status, json.loads(finished.out)["rows"]) == (0, {"item_neighbours": 8}), finished.err
        assert service.ask("/pipes/also_bought?item_id=mug")[0] == 200
    assert "8 rows in item_neighbours; 8 items of 40 users, 100% of all events" in run("learn").out
    assert run("check").status == 0


def query(shop: Service, pipe: str, **parameters: Any) -> list[dict[str, Any]]:
    return answer(
        shop.library, shop.warehouse, pipe, {name: [value] for name, value in parameters.items()}, NOON
    ).dicts()


def test_items_of_the_same_baskets_are_close(shop: Service) -> None:
    store(shop)
    learn("embeddings", context_of(shop), {"dimensions": 4})
    (row,) = query(shop, "item_embedding", item_id="mug")
    assert (row["model"], row["dimensions"]) == ("baskets", 4)
    assert sum(x * x for x in row["embedding"]) == pytest.approx(1, abs=1e-5)
    near = [row for row in query(shop, "similar_items", item_id="mug") if row["source"] == "similar_items"]
    assert {row["other_item_id"] for row in near} == set(TEA) - {"mug"}
    assert near[0]["reason"] == "close to mug in what people buy with it"
    run = latest_runs(shop.warehouse)["embeddings"]
    assert (run.events, run.rows, run.quality["recall"]) == (len(purchases()), {"item_embeddings": 8}, 1)
    assert "the index finds 100.0% of the 10 nearest in" in run.line


def vectors(shop: Service) -> list[list[Any]]:
    return shop.warehouse.rows("select item_key, embedding, model from item_embeddings order by item_key").data


def test_vectors_of_baskets_are_deterministic(shop: Service) -> None:
    store(shop)
    results = [vectors(shop) for _ in range(2) if learn("embeddings", context_of(shop), {"full": True})]
    assert results[0] == results[1] != []


def test_a_new_item_gets_a_vector_and_the_others_keep_theirs(shop: Service) -> None:
    store(shop)
    learn("embeddings", context_of(shop), {"dimensions": 4})
    before = {row[0]: row for row in vectors(shop)}
    new = [
        event | {"item_id": item}
        for event in purchases()[:30]
        if event["item_id"] in OIL
        for item in ("wok", event["item_id"])
    ]
    shop.writer.submit(Submission([Event(**event) for event in new])).result()
    assert learn("embeddings", context_of(shop), {"dimensions": 4}).quality["made"] == 1
    after = {row[0]: row for row in vectors(shop)}
    assert {key: row for key, row in after.items() if key in before} == before
    assert len(after) == len(before) + 1
    near = [row["other_item_id"] for row in query(shop, "similar_items", item_id="wok", limit=4)]
    assert set(near) == set(OIL)
    assert learn("embeddings", context_of(shop), {"dimensions": 4}).quality["made"] == 0
    assert learn("embeddings", context_of(shop), {"dimensions": 4, "full": True}).quality["made"] == 9


def test_titles_are_close_by_their_words(shop: Service) -> None:
    titles = {"a": "Green tea", "b": "Green teas, loose", "c": "Iron pan", "d": "Iron pans"}
    shop.writer.submit(Submission([Item(item_id=name, title=title) for name, title in titles.items()])).result()
    learn("embeddings", context_of(shop), {"from": "titles", "dimensions": 3})
    assert query(shop, "similar_items", item_id="a", limit=1)[0]["other_item_id"] == "b"
    row = query(shop, "similar_items", item_id="d", limit=1)[0]
    assert (row["other_item_id"], row["reason"]) == ("c", "close to Iron pans in its words")


@pytest.mark.thorough
def test_items_at_the_same_distance_are_all_hits(shop: Service) -> None:
    titles = ["Green tea"] * 60 + ["Iron pan"] * 60
    items = [Item(item_id=f"i{index}", title=title) for index, title in enumerate(titles)]
    shop.writer.submit(Submission(items)).result()
    assert learn("embeddings", context_of(shop), {"from": "titles", "dimensions": 3}).quality["recall"] == 1


def test_external_vectors_are_indexed_and_newer_ones_replace_them(shop: Service) -> None:
    def send(**vectors: list[float]) -> None:
        items = [Item(item_id=name, embedding=vector) for name, vector in vectors.items()]
        shop.writer.submit(Submission(items)).result()

    send(tea=[1, 0, 0], pot=[1, 0.1, 0], mug=[1, 0.2, 0], can=[0, 1, 0])
    run = learn("embeddings", context_of(shop), {"from": "external"})
    assert (run.rows, run.quality["dimensions"], run.quality["other_length"]) == ({"item_embeddings": 4}, 3, 0)
    send(pot=[0, 0, 1], can=[1, 0.15, 0], mug=[], cup=[1, 0.3, 0])
    near = [row["other_item_id"] for row in query(shop, "similar_items", item_id="tea") if row["score"] > 0]
    assert near == ["can", "cup"]
    assert query(shop, "item_embedding", item_id="pot")[0]["embedding"] == [0, 0, 1]
    learn("embeddings", context_of(shop), {"from": "external"})
    assert [row["other_item_id"] for row in query(shop, "similar_items", item_id="tea") if row["score"] > 0] == near


def test_the_index_and_an_exact_search_agree_under_the_limits_of_readers(shop: Service) -> None:
    """3,000 vectors, on the read-only connection, with the index of the exchanged table."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(3000, 16))
    items = [Item(item_id=f"i{index}", embedding=vector.tolist()) for index, vector in enumerate(rows)]
    shop.writer.submit(Submission(items)).result()
    run = learn("embeddings", context_of(shop), {"from": "external"})
    assert run.quality["recall"] > 0.95
    sql = "explain indexes = 1 with (select embedding from item_embeddings limit 1) as v select item_key from item_embeddings"
    plan = shop.warehouse.rows(f"{sql} order by cosineDistance(embedding, v) limit 10").data
    assert any("nearest" in row[0] for row in plan)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    expected = [f"i{index}" for index in np.argsort(-rows @ rows[7])[1:11]]
    result = [row["other_item_id"] for row in query(shop, "similar_items", item_id="i7", limit=10)]
    assert len(set(result) & set(expected)) >= 9
    exact = [row["other_item_id"] for row in query(shop, "similar_items", item_id="i7", limit=10, max_price=1)]
    assert exact == expected
