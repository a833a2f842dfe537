"""Popularity lift, miscalibration and slices of cold start, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log

import pytest

from alsobought.evaluation.cold_start import cold_slices
from alsobought.evaluation.log import Collector, Interactions, Split
from alsobought.evaluation.profiles import Profiles, divergence, profile_measures
from alsobought.evaluation.tasks import ALSO_BOUGHT, NEXT, Query
from alsobought.events import Event

T = datetime(2026, 1, 1, tzinfo=UTC)
CATEGORY = {"tea": "drinks", "pot": "china", "mug": "china", "jam": ""}
ROWS = [("ada", "tea"), ("ada", "tea"), ("ada", "mug"), ("bob", "tea"), ("cyd", "tea"), ("cyd", "jam"), ("dan", "jam")]


def past() -> Interactions:
    collector = Collector(Split(T, 28))
    for number, (user, item) in enumerate(ROWS):
        time = T - timedelta(days=1 + number)
        collector.add([Event(event_type="purchase", user_id=user, item_id=item, timestamp=time)])
    return collector.log().past


PROFILES = Profiles(past(), lambda item: CATEGORY.get(item, ""))


def test_popularity_lift_by_hand() -> None:
    """tea has 3 of 4 users, jam 2, mug 1. ada's items: (3/4 + 1/4) / 2, dan's: 2/4; zoe has no history, bob an empty list."""
    queries = [Query(user, frozenset({"tea"})) for user in ("ada", "dan", "zoe", "bob")]
    measures = profile_measures([["tea", "tea", "pot"], ["tea"], ["tea"], []], queries, 2, PROFILES)
    own, shown = (1 / 2 + 1 / 2) / 2, ((3 / 4 + 0) / 2 + 3 / 4) / 2
    assert measures.popularity_lift == pytest.approx(shown / own - 1)


def test_miscalibration_by_hand() -> None:
    """ada's items are half drinks, half china. dan's jam has no category."""
    queries = [Query(user, frozenset({"tea"})) for user in ("ada", "ada", "dan")]
    measures = profile_measures([["tea", "mug"], ["tea", "jam"], ["tea"]], queries, 10, PROFILES)
    only_drinks = 0.5 * log(0.5 / (0.99 * 1 + 0.01 * 0.5)) + 0.5 * log(0.5 / (0.01 * 0.5))
    assert measures.miscalibration == pytest.approx((0 + only_drinks) / 2)
    assert divergence({"a": 0.7, "b": 0.3}, {"a": 0.3, "b": 0.7}) > divergence(
        {"a": 0.7, "b": 0.3}, {"a": 0.6, "b": 0.4}
    )


def test_without_history_or_categories_there_is_no_measure() -> None:
    zoe = profile_measures([["tea"]], [Query("zoe", frozenset({"tea"}))], 10, PROFILES)
    assert (zoe.popularity_lift, zoe.miscalibration) == (None, None)
    dan = profile_measures([["tea"]], [Query("dan", frozenset({"tea"}))], 10, PROFILES)
    assert dan.popularity_lift == pytest.approx(0.5)
    assert dan.miscalibration is None


def slices(
    subject: str, task: str, queries: list[Query], lists: list[list[str]]
) -> dict[tuple[int, int | None], float]:
    made = cold_slices(subject, {"pipe": lists}, queries, past(), task, 10, 1)
    return {(one.least, one.most): one.recall["pipe"].mean for one in made}


def test_slices_of_users_and_items_by_hand() -> None:
    """Events before: ada 3, bob 1, zoe 0; tea 4, mug 1, pot 0."""
    queries = [
        Query("ada", frozenset({"tea", "pot"})),
        Query("bob", frozenset({"mug"})),
        Query("zoe", frozenset({"tea", "mug"})),
    ]
    lists = [["tea"], ["mug"], ["jam"]]
    assert slices("users", NEXT, queries, lists) == {(0, 0): 0.0, (1, 1): 1.0, (3, 5): 0.5}
    assert slices("items", NEXT, queries, lists) == {(0, 0): 0.0, (1, 1): 0.5, (3, 5): 0.5}
    shown = [Query("ada", frozenset({"tea"}), shown="pot"), Query("ada", frozenset({"mug"}), shown="tea")]
    assert slices("items", ALSO_BOUGHT, shown, [["tea"], ["pot"]]) == {(0, 0): 1.0, (3, 5): 0.0}
