"""A tiny log whose right numbers are worked out by hand, from the split to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alsobought.errors import Unusable
from alsobought.evaluation.log import Collector, Log, Split
from alsobought.evaluation.replay import Replayed, replayed
from alsobought.evaluation.run import Evaluation, Plan, evaluate, questions, systems_of
from alsobought.evaluation.sources import Source
from alsobought.evaluation.tasks import queries
from alsobought.events import Event, Item
from alsobought.settings import Settings
from tests.support.engines import Engine
from tests.support.project import ROOT

T = datetime(2026, 1, 1, tzinfo=UTC)
SPLIT = Split(T, 28)

USUAL = """-- What somebody buys most.
--
-- :user_id          String                              who
-- :limit            UInt16 = 10 (1..100)                how many
-- :exclude_history  String = nothing (nothing, bought)  what they have already
-- @deprecated leave_out 2026-11-29  use exclude_history
select item_id, sum(events) as times
from user_items
where user_id = {{ user_id }} and event_type = 'purchase' and {{ exclude_history }} = 'nothing'
group by item_id
order by times desc, item_id
limit {{ limit }}
"""
MOST = """-- What is bought most.
--
-- :limit  UInt16 = 3 (1..3)  how many
select item_id, sum(events) as times
from item_hours
inner join item_ids on item_ids.item_key = item_hours.item_key
where event_type = 'purchase'
group by item_id
order by times desc, item_id
limit {{ limit }}
"""
WITH_IT = """-- What stands in baskets with it.
--
-- :item_id  String                the item
-- :limit    UInt16 = 10 (1..100)  how many for each
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
    at = T + timedelta(days=days)
    return [
        Event(event_type="purchase", user_id=user, order_id=order, item_id=item, timestamp=at, order_size=len(items))
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
    *bought("ada", "o4", 0, "tea", "cup"),  # the moment of the split is after it
    *bought("ada", "o5", 2, "mug"),
    *bought("bob", "o6", 1, "pot"),
    *bought("cyd", "o7", 3, "mug", "tea"),
    *bought("dan", "o8", 1, "tea", "pot"),  # nobody knew dan before
    *bought("eve", "o9", 1, "tea", "pot"),  # an impression is nothing that eve did
    *bought("bob", "o10", 28, "cup", "tea"),  # behind the window
]
ITEMS = [Item(item_id=name, category=of) for name, of in (("tea", "A"), ("mug", "B"), ("pot", "B"), ("cup", "B"))]


def log_of(events: Sequence[Event] = EVENTS, split: Split = SPLIT) -> Log:
    collector = Collector(split)
    collector.add(events)
    return collector.log()


def source_of(events: Sequence[Event]) -> Source:
    def batches(before: datetime) -> Iterator[list[Event]]:
        yield [event for event in events if event.timestamp < before]  # type: ignore[operator]

    return Source("a tiny log", "tiny", T + timedelta(days=29), lambda: ITEMS, batches, lambda _: len(events))


# Tasks


def asked(task: str, **more: Any) -> dict[str, set[str]]:
    return {query.user: set(query.truth) for query in queries(log_of(), task, **more)}


def test_next_asks_who_was_active_before_for_the_first_basket_after() -> None:
    assert asked("next") == {"ada": {"tea", "cup"}, "bob": {"pot"}, "cyd": {"mug", "tea"}}


def test_novel_leaves_out_what_was_bought_and_who_then_has_nothing() -> None:
    assert asked("next-novel") == {"ada": {"cup"}, "bob": {"pot"}, "cyd": {"mug", "tea"}}
    again = [*EVENTS[:7], *bought("ada", "o4", 1, "mug")]
    assert queries(log_of(again), "next-novel") == []


def test_window_takes_all_baskets_of_the_days_and_none_behind_them() -> None:
    assert asked("window") == {"ada": {"tea", "cup", "mug"}, "bob": {"pot"}, "cyd": {"mug", "tea"}}


def test_also_bought_shows_one_item_of_each_basket_and_asks_for_the_rest() -> None:
    made = queries(log_of(), "also-bought")
    assert [query.user for query in made] == ["ada", "cyd", "dan", "eve"]  # by the names of their orders
    for query, basket in zip(made, [{"tea", "cup"}, {"mug", "tea"}, {"tea", "pot"}, {"tea", "pot"}], strict=True):
        assert {query.shown} | query.truth == basket
        assert query.forbidden == {query.shown} == basket - query.truth
    assert made == queries(log_of(), "also-bought")
    assert len({tuple(one.shown for one in queries(log_of(), "also-bought", seed)) for seed in range(9)}) > 1


def test_some_users_are_drawn_with_all_their_questions() -> None:
    everyone = queries(log_of(), "also-bought")
    drawn = {frozenset(one.user for one in queries(log_of(), "also-bought", seed, users=2)) for seed in range(9)}
    assert {len(users) for users in drawn} == {2}
    assert len(drawn) > 1
    assert set(queries(log_of(), "also-bought", 1, users=2)) < set(everyone)


def test_without_an_order_a_basket_is_what_somebody_bought_on_a_day() -> None:
    def lone(hours: int, item: str) -> Event:
        return Event(event_type="purchase", user_id="ada", item_id=item, timestamp=T + timedelta(hours=hours))

    events = [*EVENTS[:7], lone(1, "tea"), lone(23, "pot"), lone(25, "cup")]
    assert [set(query.truth) for query in queries(log_of(events), "next")] == [{"tea", "pot"}]


def test_columns_are_the_same_in_whatever_order_events_come() -> None:
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
def replay(home: Path, on: Engine) -> Iterator[Replayed]:
    settings = Settings(home=str(home), batch_seconds=0.001)
    with replayed(settings, source_of(EVENTS), SPLIT, None, lambda _: True, quiet) as made:
        yield made


Evaluated = Callable[..., Evaluation]


@pytest.fixture
def evaluated(replay: Replayed) -> Evaluated:
    def run(*pipes: str, **given: Any) -> Evaluation:
        return evaluate(Plan(pipes, at=given.pop("at", 2), **given), replay, "a tiny log", quiet)

    return run


def measures(found: Evaluation, name: str) -> dict[str, float]:
    (one,) = (one for one in found.report.systems if one.name == name)
    return {measure: round(interval.mean, 6) for measure, interval in one.measures.items()}


def lists(found: Evaluation, name: str) -> list[list[str]]:
    return [list(question.lists[name]) for question in questions(found)]


@pytest.mark.embedded
def test_only_what_was_before_the_split_is_replayed_by_the_writer_that_serves(replay: Replayed) -> None:
    sql = "select count(), countIf(timestamp >= {now:DateTime64(3, 'UTC')}) from evaluation.events"
    assert replay.shop.warehouse.rows(sql, {"now": T}).data == [[8, 0]]
    sql = "select sum(baskets) from evaluation.co_baskets where item_key = cityHash64('tea')"
    assert int(replay.shop.warehouse.value(sql)) == 3
    assert replay.shop.clock() == T


@pytest.mark.embedded
def test_next_by_hand(evaluated: Evaluated) -> None:
    """ada is told tea, mug and buys tea, cup; bob is told mug, tea and buys the pot; nothing is known of cyd."""
    found = evaluated("usual", "most", task="next")
    assert lists(found, "usual") == [["tea", "mug"], ["mug", "tea"], []]
    ideal = 1 + 1 / log2(3)
    third = {"recall": 1 / 3, "ndcg": 1 / ideal / 3, "hit": 1 / 3, "mrr": 1 / 3}
    assert measures(found, "usual") == {name: round(value, 6) for name, value in (third | {"recall": 1 / 6}).items()}
    assert lists(found, "most") == [["tea", "mug"]] * 3
    assert measures(found, "most") == {
        "recall": round((1 / 2 + 0 + 1) / 3, 6),
        "ndcg": round((1 / ideal + 0 + 1) / 3, 6),
        "hit": round(2 / 3, 6),
        "mrr": round(2 / 3, 6),
    }
    usual, most, popularity = found.report.systems
    assert (usual.lists.empty, usual.lists.length) == (1 / 3, 4 / 3)
    assert usual.lists.diversity == 1.0  # tea is of another category than the mug
    assert usual.lists.coverage == most.lists.coverage == 2 / 3  # tea, mug of tea, mug, pot
    assert usual.lists.novelty == 0.0  # both buyers have both
    assert popularity.against is None
    assert most.against
    assert most.against["recall"].mean == 0  # the baseline tells the same


@pytest.mark.embedded
def test_window_by_hand(evaluated: Evaluated) -> None:
    found = evaluated("usual", task="window")
    assert measures(found, "usual")["recall"] == round((2 / 3 + 0 + 0) / 3, 6)
    assert measures(found, "usual")["ndcg"] == round(1 / 3, 6)


@pytest.mark.embedded
def test_novel_by_hand_what_is_forbidden_is_left_out_of_a_longer_list(evaluated: Evaluated) -> None:
    """The pipe `usual` can be told; of `most` three are asked for, which is all it gives: tea, mug, pot."""
    found = evaluated("usual", "most", task="next-novel")
    assert lists(found, "usual") == [[], [], []]
    assert lists(found, "most") == [[], ["pot"], ["tea", "mug"]]
    assert measures(found, "most")["recall"] == round(2 / 3, 6)
    assert lists(found, "popularity")[1] == ["pot"]


@pytest.mark.embedded
def test_also_bought_by_hand_many_keys_in_one_query(evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_with = {"tea": ["mug", "pot"], "mug": ["tea"], "pot": ["tea"]}  # a cup: what is bought most
    monkeypatch.setattr("alsobought.evaluation.ask.ALONE", 1)
    found = evaluated("with_it", baselines=["co-occurrence"])
    assert found.report.task == "also-bought"
    for query, one, same in zip(found.queries, lists(found, "with_it"), lists(found, "co-occurrence"), strict=True):
        assert one == goes_with.get(query.shown, ["tea", "mug"])
        assert same[: len(one)] == one or query.shown == "cup"
    filled = sum(query.shown == "cup" for query in found.queries) / 4
    assert found.report.systems[0].filled == filled
    hits = [len(query.truth & set(one)) for query, one in zip(found.queries, lists(found, "with_it"), strict=True)]
    assert measures(found, "with_it")["recall"] == round(sum(hits) / 4, 6)
    assert 2 <= sum(hits) <= 4


@pytest.mark.embedded
def test_parameters_go_to_the_pipes_that_have_them(evaluated: Evaluated) -> None:
    for name in ("exclude_history", "leave_out"):
        found = evaluated("usual", "most", task="next", parameters={name: ["bought"], "limit": ["1"]})
        assert lists(found, "usual") == [[], [], []]
        assert lists(found, "most") == [["tea"]] * 3


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("pipe", "more", "says"),
    [
        ("with_it", {"task": "next"}, "with_it must be told item_id, which a question of --task next does not have"),
        ("usual", {"task": "also-bought"}, "usual must be told user_id"),
        (
            "usual",
            {"parameters": {"colour": ["red"]}},
            "no asked pipe has the parameter colour.*exclude_history, limit",
        ),
        ("usual", {"baselines": ["populrity"]}, "no baseline and no pipe called 'populrity'.*popularity"),
        ("usual", {"baselines": ["co-occurrence"]}, "co-occurrence does not do --task next.*also-bought"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_replayed(
    replay: Replayed, pipe: str, more: dict[str, Any], says: str
) -> None:
    with pytest.raises(Unusable, match=says):
        systems_of(Plan([pipe], **more), replay.shop.library)


@pytest.mark.embedded
def test_a_log_without_questions_says_so(evaluated: Evaluated, replay: Replayed) -> None:
    nobody = Replayed(replay.shop, log_of(EVENTS[:8]), replay.items)
    with pytest.raises(Unusable, match=r"no question of --task next.*in the 28 days from 2026-01-01 on"):
        evaluate(Plan(["most"]), nobody, "a tiny log", quiet)
