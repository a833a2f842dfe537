"""The tasks with an item shown, and logs of other events than purchases, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from alsobought.evaluation.baskets import basket_of
from alsobought.evaluation.log import Collector, Log, Split
from alsobought.evaluation.tasks import Query, task_queries
from alsobought.events import Event

T = datetime(2026, 1, 1, tzinfo=UTC)


def event(event_type: str, user: str, hours: float, item: str, session: str = "", order: str = "") -> Event:
    time = T + timedelta(hours=hours)
    return Event(event_type=event_type, user_id=user, session_id=session, order_id=order, item_id=item, timestamp=time)


def log_of(events: Sequence[Event], event_type: str) -> Log:
    collector = Collector(Split(T, 28), event_type)
    collector.add(events)
    return collector.log()


PLAYS = [
    event("play", "ada", -30, "song", "s0"),
    event("purchase", "ada", -29, "record", order="o1"),
    event("play", "ada", 1, "song", "s1"),
    event("play", "ada", 2, "tune", "s1"),
    event("play", "ada", 3, "song", "s1"),
    event("play", "ada", 4, "aria", "s1"),
    event("play", "ada", 50, "duet", "s2"),
    event("play", "bob", -1, "aria"),
    event("play", "bob", 1, "song"),  # without a session, a basket is a day
    event("play", "bob", 23, "duet"),
    event("play", "bob", 25, "tune"),
    event("purchase", "bob", 2, "record", order="o2"),
]


@pytest.mark.parametrize(
    ("one", "basket"),
    [
        (event("purchase", "ada", 1, "tea", "s1", "o1"), ("o1", "ada")),
        (event("purchase", "ada", 1, "tea", "s1"), ("2026-01-01", "ada")),
        (event("view", "ada", 25, "tea", "s1", "o1"), ("s1", "ada")),
        (event("like", "ada", 25, "tea"), ("2026-01-02", "ada")),
        (event("view", "", 1, "tea", "guest"), ("guest", "guest")),
    ],
)
def test_a_basket_is_an_order_a_session_or_a_day(one: Event, basket: tuple[str, str]) -> None:
    assert isinstance(one.timestamp, datetime)
    assert basket_of(one, one.timestamp) == basket


def test_other_events_than_purchases_are_predicted() -> None:
    log = log_of(PLAYS, "play")
    assert log.types == {"play": 10, "purchase": 2}
    assert {query.user: query.truth for query in task_queries(log, "next")} == {
        "ada": {"song", "tune", "aria"},
        "bob": {"song", "duet"},
    }
    assert {query.user: (set(query.truth), set(query.forbidden)) for query in task_queries(log, "next-novel")} == {
        "ada": ({"tune", "aria"}, {"song"}),
        "bob": ({"song", "duet"}, {"aria"}),
    }
    assert {query.user: query.truth for query in task_queries(log, "window")} == {
        "ada": {"song", "tune", "aria", "duet"},
        "bob": {"song", "duet", "tune"},
    }
    assert [query.user for query in task_queries(log_of(PLAYS, "purchase"), "next")] == ["bob"]


def test_also_seen_shows_one_item_of_all_that_a_user_has_in_the_period() -> None:
    queries = task_queries(log_of(PLAYS, "play"), "also-seen")
    assert [query.user for query in queries] == ["ada", "bob"]
    for query, items in zip(queries, [{"song", "tune", "aria", "duet"}, {"song", "duet", "tune"}], strict=True):
        assert query.truth | {query.shown} == items
        assert query.forbidden == {query.shown} == items - query.truth


def test_session_next_knows_the_first_items_and_wants_the_next() -> None:
    """Of song, tune, song, aria the song counts once; s2 has one item only."""
    drawn = {
        query
        for seed in range(20)
        for query in task_queries(log_of(PLAYS, "play"), "session-next", seed)
        if query.user == "ada"
    }
    assert drawn == {
        Query("ada", frozenset({"tune"}), frozenset({"song"}), "song"),
        Query("ada", frozenset({"aria"}), frozenset({"song", "tune"}), "tune", ("song",)),
    }
