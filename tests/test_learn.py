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

from app.errors import Unusable
from app.events import Event
from app.intake import Submission
from app.learning import replacement
from app.learning.context import Context
from app.learning.ease import strongest, weights
from app.learning.learned import latest
from app.learning.registry import LEARNERS, filling, learn
from app.settings import HOME
from app.shop import Shop
from app.views import count_tables
from tests.conftest import NOON
from tests.process import Run, serving, write

TEA, OIL = ("green tea", "black tea", "mug", "pot"), ("oil", "salt", "pan", "lid")


@contextlib.contextmanager
def no_bar(title: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    yield lambda _: None


def context_of(shop: Shop, **given: Any) -> Context:
    return Context(shop.warehouse, HOME, NOON, no_bar, **given)


def purchases() -> list[dict[str, Any]]:
    """Forty people, of whom every other one buys of one shelf and the others of the other, each leaving something out."""
    return [
        {"event_type": "purchase", "user_id": f"u{person}", "order_id": f"o{person}", "item_id": item}
        for person in range(40)
        for place, item in enumerate(TEA if person % 2 else OIL)
        if (person // 2 + place) % 5
    ]


def store(shop: Shop) -> None:
    shop.writer.submit(Submission([Event(**one) for one in purchases()])).result()


def neighbours(shop: Shop) -> dict[str, list[tuple[str, float]]]:
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


def test_what_the_same_people_buy_become_neighbours_and_others_do_not(shop: Shop) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    found = neighbours(shop)
    assert {item: {other for other, _ in pairs} for item, pairs in found.items()} == {
        item: set(shelf) - {item} for shelf in (TEA, OIL) for item in shelf
    }
    assert all(weight > 0 for pairs in found.values() for _, weight in pairs)
    run = latest(shop.warehouse)["neighbours"]
    assert (run.events, run.rows, run.options["people"]) == (len(purchases()), {"item_neighbours": 8}, 2)


def test_the_same_events_teach_the_same(shop: Shop) -> None:
    store(shop)
    found = [neighbours(shop) for _ in range(2) if learn("neighbours", context_of(shop), {"people": 2})]
    assert found[0] == found[1] != {}


def test_too_little_is_said_and_changes_nothing(shop: Shop) -> None:
    store(shop)
    learn("neighbours", context_of(shop), {"people": 2})
    before = neighbours(shop)
    with pytest.raises(Unusable, match="0 items have 500 people or more"):
        learn("neighbours", context_of(shop), {"people": 500})
    with pytest.raises(Unusable, match="no option 'peple'"):
        learn("neighbours", context_of(shop), {"peple": 2})
    assert neighbours(shop) == before


def test_a_run_that_fails_leaves_the_old_table_and_nothing_else(shop: Shop) -> None:
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


def tables_being_made(shop: Shop) -> list[list[str]]:
    sql = f"select name from system.tables where database = '{replacement.database_of(shop.warehouse)}'"
    return shop.warehouse.trusted_rows(sql).data


def test_of_two_runs_at_once_the_later_one_goes_on(shop: Shop) -> None:
    store(shop)
    context = context_of(shop)
    rows = [{"item_key": 1, "neighbours": [(2, 0.5)]}]
    with pytest.raises(Unusable, match="another command"), context.replacement("item_neighbours") as first:
        with context.replacement("item_neighbours") as second:
            second.insert(rows)
        first.insert(rows)
    assert shop.warehouse.rows("select item_key from item_neighbours").data == [[1]]


def test_learnt_tables_are_no_count_tables_and_are_found_by_what_they_fill(shop: Shop) -> None:
    learnt = {table for learner in LEARNERS.values() for table in learner.tables}
    assert learnt & {table.name for table in count_tables(shop.warehouse)} == set()
    assert learnt <= shop.warehouse.tables()
    assert [learner.name for learner in filling(["items", "item_neighbours"])] == ["neighbours"]


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
