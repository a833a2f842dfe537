"""Generated: a service with films and series. Plays and likes, no orders; tastes drift, and titles arrive every day."""

from __future__ import annotations

from typing import Any

import numpy as np

from alsobought.demo.datasets.contents import Contents, Lifetime
from alsobought.demo.datasets.tastes import Choice, Recipe, TasteOracle, Tastes, random_tastes
from alsobought.demo.datasets.visits import SEED, START, Visit, in_order, length, moment, visits_of_day
from alsobought.events import Event
from alsobought.items import Item

RECIPE = Recipe(users=1_200, items=2_400, topics=24, days=84, drift=0.6, late=0.4, fresh_days=10, evergreen=0.3)
VISITS_A_DAY, PLAYS = 0.3, 2.6
LIKED = 0.15  # the share of plays, for a user with average taste for the topic


def read(recipe: Recipe = RECIPE, seed: int = SEED) -> Contents:
    random = np.random.default_rng(seed)
    tastes = random_tastes(recipe, random)
    events: list[Event] = []
    for day in range(recipe.days):
        choice, shares = Choice(tastes.of_topics(day), random), tastes.of_users(day)
        for visit in visits_of_day(tastes, day, VISITS_A_DAY, random):
            liking = min(0.6, LIKED * recipe.topics**0.5 * float(shares[visit.user, visit.topic]))
            events += _plays(visit, choice.items(visit.topic, length(random, PLAYS)), liking, random)
    items = [_item(tastes, number) for number in range(recipe.items)]
    lifetimes = {
        item.item_id: Lifetime(begins=moment(arrival))
        for item, arrival in zip(items, tastes.arrival.tolist(), strict=True)
        if arrival > 0
    }
    names = [item.item_id for item in items]
    oracle = TasteOracle(tastes, [f"viewer-{number}" for number in range(recipe.users)], names, START)
    return Contents(items, in_order(events), lifetimes, oracle)


def _plays(visit: Visit, titles: list[int], liking: float, random: np.random.Generator) -> list[Event]:
    """Plays follow each other after 20 to 60 minutes; some are liked at their end."""
    events, at = [], visit.begins
    session = f"v{visit.user}-{round(visit.begins * 86_400)}"
    for title in titles:
        fields: dict[str, Any] = {"user_id": f"viewer-{visit.user}", "session_id": session, "item_id": f"title-{title}"}
        events.append(Event(event_type="view", timestamp=moment(at), **fields))
        at += float(random.uniform(20, 60)) / 1440
        if random.random() < liking:
            events.append(Event(event_type="like", timestamp=moment(at), **fields))
    return events


def _item(tastes: Tastes, number: int) -> Item:
    genre = f"Genre {int(tastes.topic_of[number]) + 1}"
    return Item(
        item_id=f"title-{number}",
        title=f"{genre}, no. {number}",
        category=genre,
        published_at=moment(float(tastes.arrival[number])),
    )
