"""The baselines by hand on toy data, and all of them on a random log."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pytest

from alsobought.errors import Unusable
from alsobought.evaluation.baselines.candidates import signed_root
from alsobought.evaluation.baselines.registry import BASELINES, Baseline, TooFewRows, create_baseline
from alsobought.evaluation.baselines.scores import baskets_ago, popularity
from alsobought.evaluation.baselines.session_knn import SessionKNN
from alsobought.evaluation.baselines.swing import Swing
from alsobought.evaluation.log import Collector, Log, Split
from alsobought.evaluation.measures import query_measures
from alsobought.evaluation.tasks import (
    ALSO_BOUGHT,
    ALSO_SEEN,
    NEXT,
    NOVEL,
    SESSION_NEXT,
    SHOWN_TASKS,
    TASKS,
    WINDOW,
    Query,
    task_queries,
)
from alsobought.events import Event
from alsobought.items import Item
from tests.support.project import ROOT

T = datetime(2026, 1, 1, tzinfo=UTC)
TOY = ("ABC", "ABD", "AB", "AC", "BCD", "A", "CE", "DE")  # one basket of each of eight users


def line(user: str, order: str, days: float, item: str) -> Event:
    time = T + timedelta(days=days)
    return Event(event_type="purchase", user_id=user, order_id=order, item_id=item, timestamp=time)


def log_of(events: Sequence[Event], days: int = 28) -> Log:
    collector = Collector(Split(T, days))
    collector.add(events)
    return collector.log()


def toy() -> Log:
    return log_of([line(f"u{n}", f"o{n}", -1, item) for n, basket in enumerate(TOY) for item in basket])


def fitted(name: str, log: Log, task: str, items: dict[str, Item] | None = None) -> Baseline:
    baseline = create_baseline(name, task)
    baseline.fit(log.past, items or {}, task)
    return baseline


def test_swing_by_hand() -> None:
    """w of A with B and C, and of B with C and D, on the toy data; no other pairs."""
    log = toy()
    swing = Swing()
    swing.fit(log.past, {}, ALSO_BOUGHT)
    names = log.past.names
    weights: dict[str, float] = {}
    for item in "AB":
        others, values = swing.weights_of(names.item_index[item])
        weights |= {
            item + names.items[other]: value
            for other, value in zip(others.tolist(), values.tolist(), strict=True)
            if value > 1e-12 and names.items[other] > item
        }
    assert weights == pytest.approx({"AB": 0.26785924, "AC": 0.08979529, "BC": 0.08826865, "BD": 0.08826865}, rel=1e-6)


def test_the_signed_root_of_llr_by_hand() -> None:
    both, other = np.array([3.0, 2.0, 1.0]), np.array([4.0, 4.0, 3.0])
    one = np.full(3, 5.0)
    assert signed_root(both, one, other, 8) == pytest.approx([0.735631, -0.735631, -1.327367], rel=1e-5)


def test_co_occurrence_counts_baskets() -> None:
    log = toy()
    queries = [Query("u0", frozenset("B"), frozenset("A"), "A"), Query("u0", frozenset("A"), frozenset("E"), "E")]
    assert fitted("co-occurrence", log, ALSO_BOUGHT).recommend(queries, 2) == [["B", "C"], ["C", "D"]]


def test_co_occurrence_of_users_counts_users() -> None:
    """Two people with A and E in different baskets, one with A and B in three."""
    rows = [("u1", "o1", "A"), ("u1", "o2", "E"), ("u2", "o3", "A"), ("u2", "o4", "E")]
    rows += [("u3", f"p{n}", item) for n in range(3) for item in "AB"]
    log = log_of([line(user, order, -1, item) for user, order, item in rows])
    query = [Query("u9", frozenset("E"), frozenset("A"), "A")]
    assert fitted("co-occurrence-users", log, ALSO_BOUGHT).recommend(query, 2) == [["E", "B"]]
    assert fitted("co-occurrence", log, ALSO_BOUGHT).recommend(query, 2) == [["B", "E"]]
    assert fitted("swing", log, ALSO_SEEN).recommend(query, 1) == [["E"]], "pairs of users"


def test_session_neighbours_by_hand() -> None:
    """Similarities .75, .5, .25; D: .5 · 1 + .25 · 1/2, since A is the last but one."""
    sessions = [("s1", "ABC", -3), ("s2", "BCD", -2), ("s3", "AD", -1)]
    log = log_of([line(name, name, day, item) for name, items, day in sessions for item in items])
    knn = SessionKNN()
    knn.fit(log.past, {}, SESSION_NEXT)
    names = log.past.names.item_index
    assert knn.scores_of([names["A"], names["B"]]).tolist() == [0.875, 1.25, 1.25, 0.625]
    assert knn.scores_of([-1, names["D"]]).tolist() == [0.5, 0.5, 0.5, 1.0], (
        "s2 and s3 share the latest item, half of two"
    )
    query = Query("u9", frozenset("C"), frozenset("AB"), "B", ("A",))
    assert knn.recommend([query], 2) == [["C", "D"]]
    latest = SessionKNN(sample=1)
    latest.fit(log.past, {}, SESSION_NEXT)
    assert latest.scores_of([names["A"], names["B"]]).tolist() == [0.125, 0, 0, 0.125]


def test_options_of_baselines() -> None:
    """With λ = 1 the weights of A are .36 for B, .1889 for C, -.0296 for E, -.0427 for D."""
    assert fitted("ease:l2=1,items=5", toy(), NEXT).recommend([Query("u5", frozenset("B"), frozenset("A"))], 4) == [
        ["B", "C", "E", "D"]
    ]
    for text, message in [
        ("ease:lambda=1", "ease has no option 'lambda'.*items=8000, l2=None"),
        ("ease:items=many", "items is 'many', not a whole number"),
        ("ease:l2=-1", "l2 is '-1', not a number"),
        ("popularity:days=7", "popularity has no option 'days'.*there are none"),
        ("co-occurrence-users:users=0", "no option 'users'"),
    ]:
        with pytest.raises(Unusable, match=message):
            create_baseline(text, NEXT if text[0] != "c" else ALSO_BOUGHT)


def test_popularity_helps_where_neighbours_are_silent() -> None:
    """Nobody is like ada. E sold most, but E's buyers are like no one."""
    rows = [("ada", "A"), *((f"u{n}", "E") for n in range(3)), ("bob", "B")]
    log = log_of([line(user, user, -1, item) for user, item in rows])
    (scores,) = fitted("user-cf-popularity", log, NOVEL)._scores([Query("ada", frozenset("E"))])  # type: ignore[attr-defined]
    assert scores.tolist() == pytest.approx([1 / 5, 1 / 5, 3 / 5], abs=1e-6)


@pytest.mark.parametrize("task", [NEXT, ALSO_BOUGHT])
def test_too_little_to_train_on_is_no_crash(task: str) -> None:
    with pytest.raises(TooFewRows, match="too few rows to train: skipped"):
        fitted("lightgbm", toy(), task)


def test_popularity_is_the_share_of_the_last_baskets() -> None:
    old = [line("u9", f"old{n}", -29, "E") for n in range(9)]
    log = log_of([*(line(f"u{n}", f"o{n}", -1, item) for n, basket in enumerate(TOY) for item in basket), *old])
    assert popularity(log.past) == pytest.approx([5 / 8, 4 / 8, 4 / 8, 3 / 8, 2 / 8])
    assert fitted("popularity", log, NEXT).recommend([Query("u1", frozenset("A"))], 3) == [["A", "B", "C"]]


ADA = [
    *(line("ada", "o1", -90, item) for item in "AB"),
    *(line("ada", "o2", -89, item) for item in "AB"),
    line("ada", "o3", -3, "C"),
    line("ada", "o4", -2, "B"),
    line("ada", "o5", -1, "D"),
    line("bob", "o6", -1, "E"),
]


def test_baskets_ago_counts_the_users_own_baskets_from_the_latest() -> None:
    past = log_of(ADA).past
    names = [past.names.baskets[basket][0] for basket in past.lines.basket]
    assert dict(zip(names, baskets_ago(past).tolist(), strict=True)) == {
        "o1": 4,
        "o2": 3,
        "o3": 2,
        "o4": 1,
        "o5": 0,
        "o6": 0,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("personal", ["B", "A", "C", "D"]),  # 3, 2, 1, 1 baskets; C and D are equally popular
        ("personal-halflife", ["B", "D", "C", "A"]),  # A: 2 · 2^(-89.5/84)
        ("personal-baskets", ["B", "A", "D", "C"]),  # A: (.95^4 + .95^3) · .00001^.05 = .940, D: .25^.05 = .933
    ],
)
def test_repeat_purchases_of_a_user(name: str, expected: list[str]) -> None:
    baseline = fitted(name, log_of(ADA), NEXT)
    (ada, unknown) = baseline.recommend([Query("ada", frozenset("A")), Query("zoe", frozenset("A"))], 4)
    assert ada == expected
    assert unknown[:4] == ["B", "C", "D", "E"], "popular items for an unknown user"


def test_neighbours_recommend_new_items() -> None:
    """bob buys the items of ada, and a pot; cyd buys others."""
    rows = [("ada", "AB"), ("bob", "ABP"), ("cyd", "XYZ"), ("dan", "XY")]
    log = log_of([line(user, f"o{user}", -1, item) for user, basket in rows for item in basket])
    queries = [Query("ada", frozenset("P"), frozenset("AB")), Query("dan", frozenset("Z"), frozenset("XY"))]
    assert [items[0] for items in fitted("user-cf", log, NOVEL).recommend(queries, 3)] == ["P", "Z"]
    assert [items[0] for items in fitted("ease", log, NOVEL).recommend(queries, 3)] == ["P", "Z"]


# All of them


@pytest.fixture(scope="module")
def random_log() -> tuple[Log, dict[str, Item]]:
    """Sixty users of three tastes buy twice a month; each taste has ten items, bought in pairs."""
    random, events = Random(3), []
    for user in range(60):
        for day in range(-84, 28, 14):
            start = 10 * (user % 3)
            pairs = [start + 2 * random.randrange(5), start + 2 * random.randrange(5)]
            basket = [n + offset for n in pairs for offset in (0, 1)]
            events += [line(f"u{user:02}", f"o{user}-{day}", day + random.random(), f"i{n:02}") for n in basket]
    items = [Item(item_id=f"i{n:02}", category=f"c{n // 10}", price=1 + n / 10) for n in range(30)]
    return log_of(events), {item.item_id: item for item in items}


def tasks_of(name: str) -> set[str]:
    tasks = set()
    for task in TASKS:
        with suppress(Unusable):
            tasks |= {task} & set(create_baseline(name, task).tasks)
    assert tasks
    return tasks - {WINDOW}  # fitted as for next


@pytest.mark.parametrize("name", BASELINES)
def test_each_baseline_beats_chance_on_its_tasks(
    name: str, random_log: tuple[Log, dict[str, Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASELINES, "lightgbm", (*BASELINES["lightgbm"][:2], {"trees": 10}))
    log, items = random_log
    for task in sorted(tasks_of(name) - {NOVEL}):
        queries = task_queries(log, task)
        baseline = fitted(name, log, task, items)
        lists = baseline.recommend(queries, 10)
        assert [len(result) for result in lists] == [10] * len(queries)
        assert all(
            len(set(result)) == 10 and not set(result) & query.forbidden
            for result, query in zip(lists, queries, strict=True)
        )
        chance = 10 / 30
        recall = query_measures(lists, queries, 10)[:, 0].mean()
        assert recall > (0.9 * chance if name == "popularity" else 2 * chance), (task, recall)
        assert baseline.recommend(queries[:7], 10) == lists[:7], "independent of other queries"


@pytest.mark.parametrize("name", BASELINES)
def test_each_baseline_handles_unknown_users_and_items(
    name: str, random_log: tuple[Log, dict[str, Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASELINES, "lightgbm", (*BASELINES["lightgbm"][:2], {"trees": 2, "queries": 100, "windows": 1}))
    log, items = random_log
    for task in sorted(tasks_of(name)):
        baseline = fitted(name, log, task, items)
        unknown: dict[str, Any] = {"shown": "new", "forbidden": frozenset({"new"})} if task in SHOWN_TASKS else {}
        (result,) = baseline.recommend([Query("zoe", frozenset({"i01"}), **unknown)], 5)
        assert len(result) == 5


def test_the_page_lists_every_baseline() -> None:
    page = (ROOT / "docs" / "how-to" / "evaluate.md").read_text()
    table = page.partition("<!-- baselines:")[2].partition("<!-- /baselines -->")[0]
    assert set(re.findall(r"^\| `([\w-]+)`", table, re.M)) == set(BASELINES)
