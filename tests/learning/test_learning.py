"""What is learnt: right on data whose answer is known, the same each time, and never half in its table."""

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
from alsobought.events import Event, Item
from alsobought.learning import table_swap
from alsobought.learning.context import Context
from alsobought.learning.ease import strongest, weights
from alsobought.learning.registry import LEARNERS, filling, learn
from alsobought.learning.runs import latest
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


def context_of(shop: Service, **given: Any) -> Context:
    return Context(shop.warehouse, ROOT, NOON, no_bar, **given)


def purchases() -> list[dict[str, Any]]:
    """Forty people, of whom every other one buys of one shelf and the others of the other, each leaving something out."""
    return [
        {"event_type": "purchase", "user_id": f"u{person}", "order_id": f"o{person}", "item_id": item}
        for person in range(40)
        for place, item in enumerate(TEA if person % 2 else OIL)
        if (person // 2 + place) % 5
    ]


def store(shop: Service) -> None:
    shop.writer.submit(Submission([Event(**one) for one in purchases()])).result()


def neighbours(shop: Service) -> dict[str, list[tuple[str, float]]]:
    names = dict(shop.warehouse.rows("select item_key, any(item_id) from item_ids group by all").data)
    found = shop.warehouse.rows("select item_key, neighbours from item_neighbours order by item_key").data
    return {names[key]: [(names[other], weight) for other, weight in pairs] for key, pairs in found}


def test_ease_has_the_values_that_were_worked_out_by_hand() -> None:
    baskets = ["ABC", "ABD", "AB", "AC", "BCD", "A", "CE", "DE"]
    matrix = sparse.csr_matrix([[float(item in basket) for item in "ABCDE"] for basket in baskets])
    found = weights(matrix, 1)
    assert found[0] == pytest.approx([0, 0.36, 0.1889, -0.0427, -0.0296], abs=5e-5)
    lists = {item: (others.tolist(), value) for item, others, value in strongest(found, 3)}
    assert lists[0][0] == [1, 2], "the negative ones say nothing for an item"
    assert lists[0][1] == pytest.approx([0.36, 0.1889], abs=5e-5)


def test_an_item_stands_in_the_lists_of_those_that_speak_for_it_most() -> None:
    found = np.array([[0, 0.5, 0.1], [0.4, 0, 0.3], [0.2, 0.6, 0]], np.float32)
    lists = {item: others.tolist() for item, others, _ in strongest(found, 1)}
    assert lists == {1: [0, 2], 2: [1]}


def test_what_the_same_people_buy_become_neighbours_and_others_do_not(shop: Service) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    found = neighbours(shop)
    assert {item: {other for other, _ in pairs} for item, pairs in found.items()} == {
        item: set(shelf) - {item} for shelf in (TEA, OIL) for item in shelf
    }
    assert all(weight > 0 for pairs in found.values() for _, weight in pairs)
    run = latest(shop.warehouse)["neighbours"]
    assert (run.events, run.rows, run.options["people"]) == (len(purchases()), {"item_neighbours": 8}, 2)


def test_the_same_events_teach_the_same(shop: Service) -> None:
    store(shop)
    found = [neighbours(shop) for _ in range(2) if learn("neighbours", context_of(shop), {"people": 2})]
    assert found[0] == found[1] != {}


def test_too_little_is_said_and_changes_nothing(shop: Service) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    before = neighbours(shop)
    with pytest.raises(Unusable, match="0 items have 500 people or more"):
        learn("neighbours", context_of(shop), {"people": 500})
    with pytest.raises(Unusable, match="no option 'peple'"):
        learn("neighbours", context_of(shop), {"peple": 2})
    assert neighbours(shop) == before


def test_a_run_that_fails_leaves_the_old_table_and_nothing_else(shop: Service) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    before, runs = neighbours(shop), latest(shop.warehouse)

    def fail(table: str, made: str) -> None:
        assert shop.warehouse.trusted_rows(f"select count() from {made}").data == [[8]]
        raise OSError

    with pytest.raises(OSError):
        learn("neighbours", context_of(shop, exchange=fail), {"people": 2})
    assert (neighbours(shop), latest(shop.warehouse)) == (before, runs)
    assert tables_being_made(shop) == []
    databases = shop.warehouse.trusted_rows("select name from system.databases").data
    assert [table_swap.database_of(shop.warehouse)] not in databases


def tables_being_made(shop: Service) -> list[list[str]]:
    sql = f"select name from system.tables where database = '{table_swap.database_of(shop.warehouse)}'"
    return shop.warehouse.trusted_rows(sql).data


def test_of_two_runs_at_once_the_later_one_goes_on(shop: Service) -> None:
    store(shop)
    context = context_of(shop)
    rows = [{"item_key": 1, "neighbours": [(2, 0.5)]}]
    with pytest.raises(Unusable, match="another command"), context.replacement("item_neighbours") as first:
        with context.replacement("item_neighbours") as second:
            second.insert(rows)
        first.insert(rows)
    assert shop.warehouse.rows("select item_key from item_neighbours").data == [[1]]


def test_learnt_tables_are_no_count_tables_and_are_found_by_what_they_fill(shop: Service) -> None:
    learnt = {table for learner in LEARNERS.values() for table in learner.tables}
    assert learnt & {table.name for table in count_tables(shop.warehouse)} == set()
    assert learnt <= shop.warehouse.tables()
    assert [learner.name for learner in filling(["items", "item_neighbours"])] == ["neighbours"]
    assert "brought_embeddings" not in {table.name for table in count_tables(shop.warehouse)}, "of items, not of events"


def test_learning_beside_a_service_is_seen_by_it_also_after_a_kill(run_migrated: Run, tmp_path: Path) -> None:
    """The command computes; the process that holds the folder reads for it, and exchanges the tables."""
    run = run_migrated
    loaded = run("load", "events", write(tmp_path / "events.ndjson", *purchases()))
    assert loaded.status == 0, loaded.err
    with serving(run) as service:
        killed = run("learn", "neighbours", "--people", 2, ALSOBOUGHT_FAILPOINT="learn.inserted")
        assert killed.status == -9
        assert json.loads(run("learn", "--json").out)[0]["learned"] is None
        done = run("learn", "neighbours", "--people", 2, "--json")
        assert (done.status, json.loads(done.out)["rows"]) == (0, {"item_neighbours": 8}), done.err
        assert service.ask("/pipes/also_bought?item_id=mug")[0] == 200
    assert "8 rows in item_neighbours; 8 items of 40 people, 100% of all events" in run("learn").out
    assert run("check").status == 0


def ask(shop: Service, pipe: str, **asked: Any) -> list[dict[str, Any]]:
    return answer(shop.library, shop.warehouse, pipe, {name: [value] for name, value in asked.items()}, NOON).dicts()


def test_items_of_the_same_baskets_are_close_and_others_are_not(shop: Service) -> None:
    store(shop)
    learn("embeddings", context_of(shop), {"dimensions": 4})
    (found,) = ask(shop, "item_embedding", item_id="mug")
    assert (found["model"], found["dimensions"]) == ("baskets", 4)
    assert sum(x * x for x in found["embedding"]) == pytest.approx(1, abs=1e-5)
    near = [row for row in ask(shop, "similar_items", item_id="mug") if row["source"] == "similar_items"]
    assert {row["other_item_id"] for row in near} == set(TEA) - {"mug"}
    assert near[0]["reason"] == "close to mug in what people buy with it"
    run = latest(shop.warehouse)["embeddings"]
    assert (run.events, run.rows, run.quality["recall"]) == (len(purchases()), {"item_embeddings": 8}, 1)
    assert "the index finds 100.0% of the 10 nearest in" in run.line


def vectors(shop: Service) -> list[list[Any]]:
    return shop.warehouse.rows("select item_key, embedding, model from item_embeddings order by item_key").data


def test_the_same_baskets_give_the_same_vectors(shop: Service) -> None:
    store(shop)
    found = [vectors(shop) for _ in range(2) if learn("embeddings", context_of(shop), {"full": True})]
    assert found[0] == found[1] != []


def test_a_new_item_gets_a_vector_and_the_others_keep_theirs(shop: Service) -> None:
    store(shop)
    learn("embeddings", context_of(shop), {"dimensions": 4})
    before = {row[0]: row for row in vectors(shop)}
    new = [
        one | {"item_id": item} for one in purchases()[:30] if one["item_id"] in OIL for item in ("wok", one["item_id"])
    ]
    shop.writer.submit(Submission([Event(**one) for one in new])).result()
    assert learn("embeddings", context_of(shop), {"dimensions": 4}).quality["made"] == 1
    after = {row[0]: row for row in vectors(shop)}
    assert {key: row for key, row in after.items() if key in before} == before
    assert len(after) == len(before) + 1
    near = [row["other_item_id"] for row in ask(shop, "similar_items", item_id="wok", limit=4)]
    assert set(near) == set(OIL)
    assert learn("embeddings", context_of(shop), {"dimensions": 4}).quality["made"] == 0
    assert learn("embeddings", context_of(shop), {"dimensions": 4, "full": True}).quality["made"] == 9


def test_titles_are_close_by_their_words(shop: Service) -> None:
    titles = {"a": "Green tea", "b": "Green teas, loose", "c": "Iron pan", "d": "Iron pans"}
    shop.writer.submit(Submission([Item(item_id=name, title=title) for name, title in titles.items()])).result()
    learn("embeddings", context_of(shop), {"from": "titles", "dimensions": 3})
    assert ask(shop, "similar_items", item_id="a", limit=1)[0]["other_item_id"] == "b"
    found = ask(shop, "similar_items", item_id="d", limit=1)[0]
    assert (found["other_item_id"], found["reason"]) == ("c", "close to Iron pans in its words")


def test_of_items_that_are_as_near_the_index_may_find_any(shop: Service) -> None:
    titles = ["Green tea"] * 60 + ["Iron pan"] * 60
    items = [Item(item_id=f"i{place}", title=title) for place, title in enumerate(titles)]
    shop.writer.submit(Submission(items)).result()
    assert learn("embeddings", context_of(shop), {"from": "titles", "dimensions": 3}).quality["recall"] == 1


def test_the_vectors_of_the_shop_are_indexed_and_newer_ones_take_their_place(shop: Service) -> None:
    def bring(**vectors: list[float]) -> None:
        items = [Item(item_id=name, embedding=vector) for name, vector in vectors.items()]
        shop.writer.submit(Submission(items)).result()

    bring(tea=[1, 0, 0], pot=[1, 0.1, 0], mug=[1, 0.2, 0], can=[0, 1, 0])
    run = learn("embeddings", context_of(shop), {"from": "brought"})
    assert (run.rows, run.quality["dimensions"], run.quality["other_length"]) == ({"item_embeddings": 4}, 3, 0)
    bring(pot=[0, 0, 1], can=[1, 0.15, 0], mug=[], cup=[1, 0.3, 0])
    near = [row["other_item_id"] for row in ask(shop, "similar_items", item_id="tea") if row["score"] > 0]
    assert near == ["can", "cup"]
    assert ask(shop, "item_embedding", item_id="pot")[0]["embedding"] == [0, 0, 1]
    learn("embeddings", context_of(shop), {"from": "brought"})
    assert [row["other_item_id"] for row in ask(shop, "similar_items", item_id="tea") if row["score"] > 0] == near


def test_an_index_answers_as_looking_at_each_does_under_the_limits_of_readers(shop: Service) -> None:
    """A few thousand vectors, by the read-only connection, with the index that the exchange brought."""
    random = np.random.default_rng(5)
    made = random.normal(size=(3000, 16))
    items = [Item(item_id=f"i{place}", embedding=vector.tolist()) for place, vector in enumerate(made)]
    shop.writer.submit(Submission(items)).result()
    run = learn("embeddings", context_of(shop), {"from": "brought"})
    assert run.quality["recall"] > 0.95
    sql = "explain indexes = 1 with (select embedding from item_embeddings limit 1) as v select item_key from item_embeddings"
    plan = shop.warehouse.rows(f"{sql} order by cosineDistance(embedding, v) limit 10").data
    assert any("nearest" in row[0] for row in plan)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    wanted = [f"i{place}" for place in np.argsort(-made @ made[7])[1:11]]
    found = [row["other_item_id"] for row in ask(shop, "similar_items", item_id="i7", limit=10)]
    assert len(set(found) & set(wanted)) >= 9
    exact = [row["other_item_id"] for row in ask(shop, "similar_items", item_id="i7", limit=10, max_price=1)]
    assert exact == wanted
