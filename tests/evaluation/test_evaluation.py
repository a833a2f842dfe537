"""A tiny log with measures calculated by hand, from the split to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import log2
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from alsobought.errors import Unusable
from alsobought.evaluation import learned_tables
from alsobought.evaluation.baselines.registry import Baseline, TooFewRows
from alsobought.evaluation.learned_tables import learn_tables
from alsobought.evaluation.log import Collector, Interactions, Log, Split
from alsobought.evaluation.measuring import Job, measure
from alsobought.evaluation.pipe_queries import PipeBinding
from alsobought.evaluation.replay import Replay, open_replay, read_learned
from alsobought.evaluation.report import system_reports
from alsobought.evaluation.results import Results, saved_queries
from alsobought.evaluation.run import Evaluation, Plan, evaluate, resolve_systems
from alsobought.evaluation.sources import Source
from alsobought.evaluation.tasks import TASKS, Query, task_queries
from alsobought.events import Event
from alsobought.items import Item
from alsobought.settings import Settings
from tests.support.engines import Engine
from tests.support.project import ROOT

T = datetime(2026, 1, 1, tzinfo=UTC)
SPLIT = Split(T, 28)

USUAL = """-- The items that a user buys most.
--
-- :user_id          String                              the user
-- :limit            UInt16 = 10 (1..100)                number of items
-- :exclude_history  String = nothing (nothing, bought)  items to exclude
-- @deprecated leave_out 2026-11-29  use exclude_history
select item_id, sum(events) as times
from user_items
where user_id = {{ user_id }} and event_type = 'purchase' and {{ exclude_history }} = 'nothing'
group by item_id
order by times desc, item_id
limit {{ limit }}
"""
MOST = """-- The most bought items.
--
-- :limit  UInt16 = 3 (1..3)  number of items
select item_id, sum(events) as times
from item_hours
inner join item_ids on item_ids.item_key = item_hours.item_key
where event_type = 'purchase'
group by item_id
order by times desc, item_id
limit {{ limit }}
"""
WITH_IT = """-- The items in the same baskets.
--
-- :item_id  String                the item
-- :limit    UInt16 = 10 (1..100)  number of rows for each
--
-- @key item_id
-- @fallback most  item_id as other_item_id
{% from 'catalogue.sql' import item, keys_of %}
with
    pairs as (
        select item_key, other_item_key, sum(baskets) as times
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        order by times desc, {{ item("item_id", "other_item_key") }}
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id, {{ item("item_id", "other_item_key") }} as other_item_id, times
from pairs
order by item_id, times desc, other_item_id
limit 1000
"""


def bought(user: str, order: str, days: float, *items: str) -> list[Event]:
    time = T + timedelta(days=days)
    return [
        Event(event_type="purchase", user_id=user, order_id=order, item_id=item, timestamp=time, order_size=len(items))
        for item in items
    ]


VIEW = Event(event_type="view", session_id="cyd", item_id="cup", timestamp=T - timedelta(days=1))
IMPRESSION = Event(event_type="impression", user_id="eve", item_id="cup", timestamp=T - timedelta(days=1))
EVENTS = [
    *bought("ada", "o1", -3, "tea", "mug"),
    *bought("ada", "o2", -2, "tea", "pot"),
    *bought("bob", "o3", -2, "tea", "mug"),
    VIEW,
    IMPRESSION,
    *bought("ada", "o4", 0, "tea", "cup"),  # at the moment of the split, which belongs to the future
    *bought("ada", "o5", 2, "mug"),
    *bought("bob", "o6", 1, "pot"),
    *bought("cyd", "o7", 3, "mug", "tea"),
    *bought("dan", "o8", 1, "tea", "pot"),  # dan has no events before
    *bought("eve", "o9", 1, "tea", "pot"),  # eve has only an impression before
    *bought("bob", "o10", 28, "cup", "tea"),  # after the window
]
EVENTS += [  # in sessions, or without
    Event(event_type="view", user_id="ada", session_id="s1", item_id="mug", timestamp=T - timedelta(days=1)),
    Event(event_type="view", user_id="ada", session_id="s1", item_id="pot", timestamp=T - timedelta(days=1)),
    Event(event_type="view", user_id="bob", session_id="s1", item_id="mug", timestamp=T - timedelta(days=1)),
    Event(event_type="view", user_id="bob", item_id="pot", timestamp=T - timedelta(days=1)),
]
ITEMS = [
    Item(item_id=name, category=category) for name, category in (("tea", "A"), ("mug", "B"), ("pot", "B"), ("cup", "B"))
]


def log_of(events: Sequence[Event] = EVENTS, split: Split = SPLIT, event_type: str = "purchase") -> Log:
    collector = Collector(split, event_type)
    collector.add(events)
    return collector.log()


def source_of(events: Sequence[Event]) -> Source:
    def batches(before: datetime) -> Iterator[list[Event]]:
        yield [event for event in events if event.timestamp < before]  # type: ignore[operator]

    return Source("a tiny log", "tiny", T + timedelta(days=29), lambda: ITEMS, batches, lambda _: len(events))


# Tasks


def truth_by_user(task: str) -> dict[str, set[str]]:
    return {query.user: set(query.truth) for query in task_queries(log_of(), task)}


def test_next_has_the_first_basket_of_users_active_before() -> None:
    assert truth_by_user("next") == {"ada": {"tea", "cup"}, "bob": {"pot"}, "cyd": {"mug", "tea"}}


def test_novel_excludes_items_bought_before_and_users_without_others() -> None:
    assert truth_by_user("next-novel") == {"ada": {"cup"}, "bob": {"pot"}, "cyd": {"mug", "tea"}}
    again = [*EVENTS[:7], *bought("ada", "o4", 1, "mug")]
    assert task_queries(log_of(again), "next-novel") == []


def test_window_has_all_baskets_of_the_days_and_no_later_ones() -> None:
    assert truth_by_user("window") == {"ada": {"tea", "cup", "mug"}, "bob": {"pot"}, "cyd": {"mug", "tea"}}


def test_also_bought_shows_one_item_of_each_basket() -> None:
    queries = task_queries(log_of(), "also-bought")
    assert [query.user for query in queries] == ["ada", "cyd", "dan", "eve"]  # in the order of the order ids
    for query, basket in zip(queries, [{"tea", "cup"}, {"mug", "tea"}, {"tea", "pot"}, {"tea", "pot"}], strict=True):
        assert {query.shown} | query.truth == basket
        assert query.forbidden == {query.shown} == basket - query.truth
    assert queries == task_queries(log_of(), "also-bought")
    assert len({tuple(query.shown for query in task_queries(log_of(), "also-bought", seed)) for seed in range(9)}) > 1


def test_users_are_sampled_with_all_their_queries() -> None:
    everyone = task_queries(log_of(), "also-bought")
    samples = {
        frozenset(query.user for query in task_queries(log_of(), "also-bought", seed, users=2)) for seed in range(9)
    }
    assert {len(users) for users in samples} == {2}
    assert len(samples) > 1
    assert set(task_queries(log_of(), "also-bought", 1, users=2)) < set(everyone)


def test_without_an_order_a_basket_is_a_user_and_a_day() -> None:
    def purchase(hours: int, item: str) -> Event:
        return Event(event_type="purchase", user_id="ada", item_id=item, timestamp=T + timedelta(hours=hours))

    events = [*EVENTS[:7], purchase(1, "tea"), purchase(23, "pot"), purchase(25, "cup")]
    assert [set(query.truth) for query in task_queries(log_of(events), "next")] == [{"tea", "pot"}]


def test_columns_do_not_depend_on_the_order_of_events() -> None:
    one, other = log_of(), log_of(EVENTS[::-1])
    for name in ("user", "item", "basket", "time"):
        assert np.array_equal(getattr(one.past, name), getattr(other.past, name))
    assert (one.past.names, one.active) == (other.past.names, other.active)


# From end to end


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    (folder / "pipes").mkdir()
    for name, text in (("usual", USUAL), ("most", MOST), ("with_it", WITH_IT)):
        (folder / "pipes" / f"{name}.sql").write_text(text)
    for name in ("migrations", "sql"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def quiet(title: str, total: int, unit: str) -> Any:
    return nullcontext(lambda _: None)


@pytest.fixture(scope="module")
def replay(home: Path, on: Engine) -> Iterator[Replay]:
    settings = Settings(home=str(home), batch_seconds=0.001)
    with open_replay(settings, source_of(EVENTS), SPLIT, None, lambda _: True, quiet) as replay:
        yield replay


Evaluated = Callable[..., Evaluation]


@pytest.fixture
def evaluated(replay: Replay) -> Evaluated:
    def run(*pipes: str, **fields: Any) -> Evaluation:
        return evaluate(Plan(pipes, at=fields.pop("at", 2), **fields), replay, "a tiny log", quiet)

    return run


def measures(evaluation: Evaluation, name: str) -> dict[str, float]:
    (system,) = (system for system in evaluation.report.systems if system.name == name)
    return {measure: round(interval.mean, 6) for measure, interval in system.measures.items()}


def lists(evaluation: Evaluation, name: str) -> list[list[str]]:
    return [list(query.lists[name]) for query in saved_queries(evaluation.queries, evaluation.lists)]


@pytest.mark.embedded
def test_only_events_before_the_split_are_replayed(replay: Replay) -> None:
    sql = "select count(), countIf(timestamp >= {now:DateTime64(3, 'UTC')}) from evaluation.events"
    assert replay.service.warehouse.rows(sql, {"now": T}).data == [[12, 0]]
    sql = "select sum(baskets) from evaluation.co_baskets where item_key = cityHash64('tea')"
    assert int(replay.service.warehouse.value(sql)) == 3
    assert replay.service.clock() == T


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("event_type", "table", "key", "groups"),
    [("purchase", "order_items", "order_key", 3), ("view", "session_items", "session_key", 3)],
)
def test_baskets_are_the_groups_of_the_views(
    replay: Replay, event_type: str, table: str, key: str, groups: int
) -> None:
    """Those with an order or a session; the others are days."""
    warehouse, past = replay.service.warehouse, log_of(event_type=event_type).past
    baskets: dict[int, set[int]] = {}
    for basket, item in zip(past.basket.tolist(), past.item.tolist(), strict=True):
        group, user = past.names.baskets[basket]
        if group != "2025-12-31":
            (keys,) = warehouse.rows(
                "select cityHash64({user:String}, {group:String}), cityHash64({item:String})",
                {"user": user, "group": group, "item": past.names.items[item]},
            ).data
            baskets.setdefault(keys[0], set()).add(keys[1])
    rows = warehouse.rows(f"select distinct {key}, item_key from evaluation.{table}").data
    assert {(basket, item) for basket, items in baskets.items() for item in items} == set(map(tuple, rows))
    assert len(baskets) == groups


@pytest.mark.embedded
def test_next_by_hand(evaluated: Evaluated) -> None:
    """ada gets tea, mug and buys tea, cup; bob gets mug, tea and buys the pot; cyd has no history."""
    evaluation = evaluated("usual", "most", task="next")
    assert lists(evaluation, "usual") == [["tea", "mug"], ["mug", "tea"], []]
    ideal = 1 + 1 / log2(3)
    third = {"recall": 1 / 3, "ndcg": 1 / ideal / 3, "hit": 1 / 3, "mrr": 1 / 3}
    assert measures(evaluation, "usual") == {
        name: round(value, 6) for name, value in (third | {"recall": 1 / 6}).items()
    }
    assert lists(evaluation, "most") == [["tea", "mug"]] * 3
    assert measures(evaluation, "most") == {
        "recall": round((1 / 2 + 0 + 1) / 3, 6),
        "ndcg": round((1 / ideal + 0 + 1) / 3, 6),
        "hit": round(2 / 3, 6),
        "mrr": round(2 / 3, 6),
    }
    usual, most, popularity = evaluation.report.systems
    assert (usual.lists.empty, usual.lists.length) == (1 / 3, 4 / 3)
    assert usual.lists.diversity == 1.0  # tea and mug are of different categories
    assert usual.lists.coverage == most.lists.coverage == 2 / 3  # tea, mug of tea, mug, pot
    assert usual.lists.novelty == 0.0  # both buyers have both
    assert popularity.against is None
    assert most.against
    assert most.against["recall"].mean == 0  # the baseline has the same lists
    assert {name: each["recall"].mean for name, each in usual.differences.items()} == {
        "popularity": pytest.approx(1 / 6 - 1 / 2)
    }
    assert (popularity.differences, popularity.verdicts) == ({}, {})


@pytest.mark.embedded
def test_each_pipe_is_compared_with_the_best_baseline(evaluated: Evaluated, replay: Replay) -> None:
    """A hundred users with one taste: the pipe is right, popularity wrong; and the other way round."""
    both = [bought(f"u{n}", f"o{n}", day, item) for n in range(100) for day, item in ((-1, "tea"), (1, "pot"))]
    many = replace(replay, log=log_of([event for events in both for event in events]))
    right = FixedLists([["pot"]] * 100)
    wrong = FixedLists([["tea"]] * 100)
    for pipe, baselines, verdict in [
        (right, {"wrong": wrong}, "above"),
        (wrong, {"wrong": wrong, "right": right}, "below"),
        (right, {"wrong": wrong, "right": right}, "level"),
        (FixedLists([["pot"], ["tea"]] * 50), {"wrong": wrong, "right": FixedLists([["tea"], ["pot"]] * 50)}, "level"),
    ]:
        job = Job(many, task_queries(many.log, "next"), "next", 2, quiet)
        systems: dict[str, PipeBinding | Baseline] = {"pipe": pipe, **baselines}
        lists = list(measure(job, systems, Results()).lists.values())
        system = system_reports(lists, job.queries, many, 2, 1, list(baselines))[0]
        assert set(system.differences) == set(baselines)
        assert {name: one.verdict for name, one in system.verdicts.items()} == {"recall": verdict, "ndcg": verdict}
        assert system.verdicts["recall"].best == ("right" if "right" in baselines else "wrong")


class FixedLists:
    """A baseline with these lists, or an error."""

    tasks: Sequence[str] = TASKS

    def __init__(self, lists: list[list[str]], error: Exception | None = None) -> None:
        self.lists, self.error, self.trained = lists, error, 0

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.trained += 1
        if self.error:
            raise self.error

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:  # noqa: ARG002
        return self.lists[: len(queries)]


@pytest.mark.embedded
def test_a_system_that_fails_costs_only_its_own_row(replay: Replay, tmp_path: Path) -> None:
    job = Job(replay, task_queries(replay.log, "next"), "next", 2, quiet)
    systems: dict[str, PipeBinding | Baseline] = {
        "good": FixedLists([["tea"]] * 3),
        "small": FixedLists([], TooFewRows("too few rows to train: skipped")),
        "bad": (bad := FixedLists([], ValueError("a matrix of 0 rows"))),
        "last": FixedLists([["mug"]] * 3),
    }
    path = tmp_path / "lists.ndjson"
    measured = measure(job, systems, Results(path))
    assert list(measured.lists) == ["good", "last"]
    assert measured.skipped == {"small": "too few rows to train: skipped"}
    assert measured.failed == {"bad": "ValueError: a matrix of 0 rows"}
    bad.lists, bad.error = [["pot"]] * 3, None
    again = measure(job, systems, Results(path, resume=True))
    assert list(again.lists) == ["good", "bad", "last"]
    assert [getattr(system, "trained") for system in systems.values()] == [1, 2, 2, 1]  # noqa: B009


@pytest.mark.embedded
def test_a_log_without_events_of_the_type_is_an_error(evaluated: Evaluated, replay: Replay) -> None:
    plays = replace(replay, log=log_of(event_type="play"))
    with pytest.raises(Unusable, match=r"no events of type 'play'.*impression, purchase, view.*--event-type"):
        evaluate(Plan(["most"], event_type="play"), plays, "a tiny log", quiet)


@pytest.mark.embedded
def test_window_by_hand(evaluated: Evaluated) -> None:
    evaluation = evaluated("usual", task="window")
    assert measures(evaluation, "usual")["recall"] == round((2 / 3 + 0 + 0) / 3, 6)
    assert measures(evaluation, "usual")["ndcg"] == round(1 / 3, 6)


@pytest.mark.embedded
def test_novel_by_hand_forbidden_items_are_removed_from_a_longer_list(evaluated: Evaluated) -> None:
    """The pipe `usual` excludes the history; `most` is queried for its maximum of three: tea, mug, pot."""
    evaluation = evaluated("usual", "most", task="next-novel")
    assert lists(evaluation, "usual") == [[], [], []]
    assert lists(evaluation, "most") == [[], ["pot"], ["tea", "mug"]]
    assert measures(evaluation, "most")["recall"] == round(2 / 3, 6)
    assert lists(evaluation, "popularity")[1] == ["pot"]


@pytest.mark.embedded
def test_also_bought_by_hand_many_keys_in_one_query(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_with = {"tea": ["mug", "pot"], "mug": ["tea"], "pot": ["tea"]}  # for the cup: the most bought items
    monkeypatch.setattr("alsobought.evaluation.pipe_queries.TIMED_QUERIES", 1)
    evaluation = evaluated("with_it", baselines=["co-occurrence"])
    assert evaluation.report.task == "also-bought"
    for query, items, counted in zip(
        evaluation.queries, lists(evaluation, "with_it"), lists(evaluation, "co-occurrence"), strict=True
    ):
        assert items == goes_with.get(query.shown, ["tea", "mug"])
        assert counted[: len(items)] == items or query.shown == "cup"
    filled = sum(query.shown == "cup" for query in evaluation.queries) / 4
    assert evaluation.report.systems[0].filled == filled
    hits = [
        len(query.truth & set(items))
        for query, items in zip(evaluation.queries, lists(evaluation, "with_it"), strict=True)
    ]
    assert measures(evaluation, "with_it")["recall"] == round(sum(hits) / 4, 6)
    assert 2 <= sum(hits) <= 4


@pytest.mark.embedded
def test_parameters_go_to_the_pipes_that_have_them(evaluated: Evaluated) -> None:
    for name in ("exclude_history", "leave_out"):
        evaluation = evaluated("usual", "most", task="next", parameters={name: ["bought"], "limit": ["1"]})
        assert lists(evaluation, "usual") == [[], [], []]
        assert lists(evaluation, "most") == [["tea"]] * 3


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("pipe", "fields", "message"),
    [
        ("with_it", {"task": "next"}, "with_it requires item_id, which queries of --task next do not have"),
        ("usual", {"task": "also-bought"}, "usual requires user_id"),
        (
            "usual",
            {"parameters": {"colour": ["red"]}},
            "no evaluated pipe has the parameter colour.*exclude_history, limit",
        ),
        ("usual", {"baselines": ["populrity"]}, "no baseline and no pipe called 'populrity'.*popularity"),
        ("usual", {"baselines": ["co-occurrence"]}, "co-occurrence does not support --task next.*also-bought"),
    ],
)
def test_a_plan_that_does_not_fit_is_an_error(replay: Replay, pipe: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(Unusable, match=message):
        resolve_systems(Plan([pipe], **fields), replay.service.library)


@pytest.mark.embedded
def test_a_log_without_queries_is_an_error(evaluated: Evaluated, replay: Replay) -> None:
    empty = Replay(replay.service, log_of(EVENTS[:8]), replay.items)
    with pytest.raises(Unusable, match=r"--task next has no queries.*in the 28 days from 2026-01-01 on"):
        evaluate(Plan(["most"]), empty, "a tiny log", quiet)


class CountedLearner:
    name, tables = "neighbours", ("item_neighbours",)


@pytest.mark.embedded
def test_tables_are_learned_once_for_a_kept_replay(
    replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def learned(name: str, _context: object) -> SimpleNamespace:
        runs.append(name)
        if len(runs) == 1:
            raise Unusable("too little data")
        return SimpleNamespace(line=f"run {len(runs)}")

    monkeypatch.setattr(learned_tables, "learn", learned)
    monkeypatch.setattr(learned_tables, "learners_of", lambda _: [CountedLearner()])
    pipes = [replay.service.library["usual"]]
    first = replace(replay, folder=tmp_path, learned={})
    assert learn_tables(pipes, first, quiet) == {"neighbours": "too little data"}
    assert learn_tables(pipes, first, quiet) == {"neighbours": "run 2"}
    assert learn_tables(pipes, first, quiet) == {"neighbours": "run 2"}
    second = replace(replay, folder=tmp_path, learned=read_learned(tmp_path))
    assert learn_tables(pipes, second, quiet) == {"neighbours": "run 2"}
    monkeypatch.setattr(learned_tables, "learning_version", lambda _: "another")
    assert learn_tables(pipes, second, quiet) == {"neighbours": "run 3"}
