"""The toy shop's known answers, verified in plain Python from its events."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from math import sqrt
from typing import Any

import pytest

from alsobought.demo import toyshop

UNTIL = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = list(toyshop.history(UNTIL))
CATEGORY = {item["item_id"]: item["category"] for item in toyshop.ITEMS}
BOTH_WAYS = [pair for item, other in toyshop.COMPANIONS.items() for pair in ((item, other), (other, item))]

ORDERS: dict[str, list[dict[str, Any]]] = defaultdict(list)
SESSIONS: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _event in EVENTS:
    SESSIONS[_event["session_id"]].append(_event)
    if _event["event_type"] == "purchase":
        ORDERS[_event["order_id"]].append(_event)
BASKETS = [[line["item_id"] for line in lines] for lines in ORDERS.values()]


def partners(item_id: str, baskets: list[list[str]], weighted: bool = True) -> dict[str, float]:
    """The other items in the baskets with this one, best first; a basket counts 1/√lines, or 1."""
    counts: dict[str, float] = defaultdict(float)
    for basket in baskets:
        if item_id in basket:
            for other in set(basket) - {item_id}:
                counts[other] += 1 / sqrt(len(basket)) if weighted else 1
    return ranked(counts)


def ranked(counts: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def first(counts: Mapping[str, float]) -> str:
    return next(iter(ranked(counts)))


def lead(counts: Mapping[str, float]) -> float:
    """The first count divided by the second."""
    most, next_most, *_ = ranked(counts).values()
    return most / next_most


def seen_since(**ago: float) -> Counter[str]:
    """Events of each item in the last hours or days."""
    since = (UNTIL - timedelta(**ago)).isoformat()
    return Counter(event["item_id"] for event in EVENTS if event["timestamp"] > since)


@pytest.mark.parametrize(("item_id", "companion"), BOTH_WAYS)
@pytest.mark.parametrize("weighted", [True, False])
def test_a_companion_leads_by_twice_the_next(item_id: str, companion: str, weighted: bool) -> None:
    counts = partners(item_id, BASKETS, weighted)
    assert first(counts) == companion
    assert lead(counts) > 2


@pytest.mark.parametrize(("item_id", "companion"), BOTH_WAYS)
def test_a_companion_leads_when_popularity_is_divided_out(item_id: str, companion: str) -> None:
    bought = Counter(item for basket in BASKETS for item in basket)
    counts = partners(item_id, BASKETS, weighted=False)
    cosines = {other: times / sqrt(bought[item_id] * bought[other]) for other, times in counts.items()}
    assert first(cosines) == companion
    assert lead(cosines) > 2


def test_the_staple_is_in_more_baskets_than_anything_else() -> None:
    bought = Counter(item for basket in BASKETS for item in basket)
    assert first(bought) == toyshop.STAPLE
    assert lead(bought) > 2
    assert bought[toyshop.STAPLE] > len(BASKETS) / 5


def test_by_plain_counts_the_staple_is_first_for_most_items_without_companion() -> None:
    alone = {item for basket in BASKETS for item in basket} - {item for item, _ in BOTH_WAYS} - {toyshop.STAPLE}
    misled = [item for item in alone if first(partners(item, BASKETS, weighted=False)) == toyshop.STAPLE]
    assert len(misled) > len(alone) / 2


@pytest.mark.parametrize(("item_id", "companion"), toyshop.OVERSHADOWED.items())
def test_only_weights_by_order_size_find_the_overshadowed_item(item_id: str, companion: str) -> None:
    assert first(partners(item_id, BASKETS, weighted=False)) == toyshop.STAPLE
    assert first(partners(item_id, BASKETS)) == companion
    assert lead(partners(item_id, BASKETS)) > 1.25


@pytest.mark.parametrize("hours", [1, 6, 24])
def test_the_rising_item_leads_the_last_day_by_far(hours: int) -> None:
    assert first(seen_since(hours=hours)) == toyshop.RISING
    assert lead(seen_since(hours=hours)) > 3


def test_the_rising_item_had_few_events_before() -> None:
    last_day = seen_since(days=1)[toyshop.RISING]
    assert last_day > 20 * (seen_since(days=8)[toyshop.RISING] - last_day) / 7


def test_the_staple_leads_the_month_and_sells_every_day() -> None:
    assert first(seen_since(days=30)) == toyshop.STAPLE
    assert lead(seen_since(days=30)) > 1.5
    days = {event["timestamp"][:10] for event in EVENTS if event["item_id"] == toyshop.STAPLE}
    assert len(days) >= 60


@pytest.mark.parametrize(("user_id", "category"), toyshop.TASTES.items())
def test_a_named_shopper_keeps_to_one_category(user_id: str, category: str) -> None:
    own = [event for event in EVENTS if event.get("user_id") == user_id]
    bought = [event["item_id"] for event in own if event["event_type"] == "purchase"]
    assert len(bought) >= 10
    assert sum(CATEGORY[item_id] == category for item_id in bought) >= 0.9 * len(bought)
    assert sum(CATEGORY[event["item_id"]] == category for event in own) >= 0.85 * len(own)


@pytest.mark.parametrize(("user_id", "category"), toyshop.TASTES.items())
def test_items_of_similar_shoppers_are_of_the_same_category(user_id: str, category: str) -> None:
    owners: dict[str, set[str]] = defaultdict(set)
    for lines in ORDERS.values():
        for line in lines:
            owners[line["item_id"]].add(line["user_id"])
    own = {item_id for item_id, users in owners.items() if user_id in users}
    scores = {
        other: sum(len(owners[item] & users) / sqrt(len(owners[item]) * len(users)) for item in own)
        for other, users in owners.items()
        if other not in own
    }
    assert CATEGORY[first(scores)] == category
    avoided = [item_id for item_id in CATEGORY if CATEGORY[item_id] == category][-2:]
    assert not {event["item_id"] for event in EVENTS if event.get("user_id") == user_id} & set(avoided)
    assert not own & set(avoided)


def test_the_known_answers_are_in_the_catalogue_once() -> None:
    assert len(CATEGORY) == len(toyshop.ITEMS) == len({item["title"] for item in toyshop.ITEMS}) == 60
    assert len(set(CATEGORY.values())) == 8
    companions = [item for item, _ in BOTH_WAYS]
    assert len(companions) == len(set(companions))
    assert set(toyshop.TASTES.values()) <= set(CATEGORY.values())
    assert {*companions, toyshop.STAPLE, toyshop.RISING, toyshop.SOLD_OUT, toyshop.UNSEEN} <= set(CATEGORY)
    assert [item["item_id"] for item in toyshop.ITEMS if not item["available"]] == [toyshop.SOLD_OUT]


def test_every_item_but_one_is_bought() -> None:
    assert set(CATEGORY) - {item for basket in BASKETS for item in basket} == {toyshop.UNSEEN}
    assert set(CATEGORY) - {event["item_id"] for event in EVENTS} == {toyshop.UNSEEN}


def test_items_may_be_changed_without_changing_the_shop() -> None:
    item = toyshop.items()[0]
    item["attributes"]["leaf"] = item["title"] = "changed"
    assert toyshop.items() == list(toyshop.ITEMS) != [item, *toyshop.items()[1:]]


def test_history_depends_on_the_seed_only() -> None:
    assert list(toyshop.history(UNTIL)) == EVENTS
    assert [event["item_id"] for event in toyshop.history(UNTIL, seed=8)] != [event["item_id"] for event in EVENTS]


def test_a_later_end_shifts_only_the_times() -> None:
    def untimed(events: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in event.items() if name != "timestamp"} for event in events]

    assert untimed(toyshop.history(UNTIL + timedelta(hours=5))) == untimed(iter(EVENTS))


def test_history_is_in_time_order_and_ends_just_before_until() -> None:
    times = [datetime.fromisoformat(event["timestamp"]) for event in EVENTS]
    assert times == sorted(times)
    assert timedelta(0) < UNTIL - times[-1] <= timedelta(seconds=1)
    assert UNTIL - timedelta(days=60) <= times[0] <= UNTIL - timedelta(days=59)
    assert all(len(event["timestamp"]) == 24 and event["timestamp"].endswith("Z") for event in EVENTS)


def test_history_has_the_documented_size() -> None:
    assert 20_000 < len(EVENTS) < 40_000
    assert 8 < len(EVENTS) / len(SESSIONS) < 12
    types = [count for _, count in Counter(event["event_type"] for event in EVENTS).most_common()]
    assert len(types) == 7
    assert len(list(toyshop.history(UNTIL, days=3, shoppers=20))) > 0


def test_event_ids_are_unique() -> None:
    assert len({event["event_id"] for event in EVENTS}) == len(EVENTS)


def test_order_size_is_the_number_of_lines_of_the_order() -> None:
    for lines in ORDERS.values():
        assert {line["order_size"] for line in lines} == {len(lines)} == {len({line["item_id"] for line in lines})}
        assert len({(line["user_id"], line["session_id"], line["timestamp"]) for line in lines}) == 1
        assert all(line["quantity"] >= 1 and line["price"] > 0 for line in lines)
    assert not any("order_id" in event for event in EVENTS if event["event_type"] != "purchase")


def test_every_step_of_the_funnel_follows_its_predecessor() -> None:
    required = {"click": "impression", "like": "view", "add_to_cart": "view"}
    required |= {"remove_from_cart": "add_to_cart", "purchase": "add_to_cart"}
    for session in SESSIONS.values():
        steps: dict[str, set[str]] = defaultdict(set)
        for event in session:
            previous = steps[event["item_id"]]
            assert required.get(event["event_type"]) in {None, *previous}
            assert not (event["event_type"] == "purchase" and "remove_from_cart" in previous)
            previous.add(event["event_type"])


def test_a_session_has_one_user_or_is_a_guest_who_never_pays() -> None:
    users = [{event.get("user_id") for event in session} for session in SESSIONS.values()]
    assert all(len(session_users) == 1 for session_users in users)
    assert 0.05 < sum(session_users == {None} for session_users in users) / len(users) < 0.25
    assert all("user_id" in line for lines in ORDERS.values() for line in lines)


def test_a_time_without_a_zone_is_an_error() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        toyshop.history(datetime(2026, 3, 1))
    with pytest.raises(ValueError, match="no time zone"):
        toyshop.live(datetime(2026, 3, 1))


def spells(count: int) -> list[list[dict[str, Any]]]:
    """The events of each of the first spells of `live(UNTIL)`."""
    by_spell: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for event in toyshop.live(UNTIL):
        spell = (datetime.fromisoformat(event["timestamp"]) - UNTIL) // timedelta(seconds=toyshop.SPELL_SECONDS)
        if spell == count:
            break
        by_spell[spell].append(event)
    return by_spell


def test_in_each_spell_of_live_the_popular_pair_leads() -> None:
    for events, pair in zip(spells(8), toyshop.popular_pairs(), strict=False):
        counts = Counter(event["item_id"] for event in events)
        assert {item_id for item_id, _ in counts.most_common(2)} == set(pair)
        assert counts[pair[0]] > 15


def test_live_changes_also_bought_within_a_spell() -> None:
    for events, (item_id, partner) in zip(spells(8), toyshop.popular_pairs(), strict=False):
        orders: dict[str, list[str]] = defaultdict(list)
        for event in events:
            if event["event_type"] == "purchase":
                orders[event["order_id"]].append(event["item_id"])
        assert first(partners(item_id, BASKETS)) != partner
        assert partner in list(partners(item_id, BASKETS + list(orders.values())))[:2]


def test_live_does_not_affect_the_known_answers() -> None:
    popular = {item_id for pair in islice(toyshop.popular_pairs(), 50) for item_id in pair}
    assert not popular & {toyshop.STAPLE, toyshop.RISING, toyshop.UNSEEN, toyshop.SOLD_OUT}
    assert not popular & {item for item, _ in BOTH_WAYS}
    assert not {event.get("user_id") for event in islice(toyshop.live(UNTIL), 2_000)} & set(toyshop.TASTES)


def test_live_advances_by_a_fraction_of_a_second_to_three_seconds() -> None:
    events = list(islice(toyshop.live(UNTIL), 2_000))
    times = [UNTIL, *(datetime.fromisoformat(event["timestamp"]) for event in events)]
    steps = [(after - before).total_seconds() for before, after in pairwise(times)]
    assert 0 <= min(steps) <= max(steps) <= 3
    assert 0.3 < sum(steps) / len(steps) < 1


def test_live_depends_on_its_start() -> None:
    first_run, second_run, later = (
        list(islice(toyshop.live(start), 500)) for start in (UNTIL, UNTIL, UNTIL + timedelta(seconds=1))
    )
    assert first_run == second_run
    assert len({event["event_id"] for event in first_run + later}) == 1_000
    assert not {event["event_id"] for event in first_run} & {event["event_id"] for event in EVENTS}


def test_every_event_has_the_fields_of_its_kind() -> None:
    always = {"event_id", "event_type", "session_id", "item_id", "timestamp"}
    of_an_order = {"user_id", "order_id", "order_size", "quantity", "price"}
    for event in [*EVENTS, *islice(toyshop.live(UNTIL), 500)]:
        fields = set(event)
        assert fields - {"user_id"} == always or (event["event_type"] == "purchase" and fields == always | of_an_order)
