"""Generated: a marketplace. Sellers offer single pieces, which can be had until somebody buys them, or for four weeks.

Whoever views an offer may like it. What is sold is no longer available, so no list may show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from alsobought.demo.datasets.contents import Contents, Lifetime
from alsobought.demo.datasets.tastes import Choice, Floats, Recipe, TasteOracle, Tastes, random_tastes
from alsobought.demo.datasets.visits import SEED, START, Visit, in_order, length, moment, visits_of_day
from alsobought.events import Event
from alsobought.items import Item

RECIPE = Recipe(users=1_500, items=9_000, topics=30, days=84, drift=0.3, late=0.85, fresh_days=5, evergreen=0.2)
OFFERED_DAYS = 28.0
SELLERS = 400
VISITS_A_DAY, LOOKS = 0.2, 5.0
LIKED, BUYING = 0.08, 0.25  # shares of the views, and of the visits


def read(recipe: Recipe = RECIPE, seed: int = SEED + 2) -> Contents:
    random = np.random.default_rng(seed)
    tastes = random_tastes(recipe, random)
    sellers = random.integers(SELLERS, size=recipe.items)
    gone = np.maximum(tastes.arrival, 0) + OFFERED_DAYS
    events: list[Event] = []
    sold: set[int] = set()
    for day in range(recipe.days):
        choice = Choice(tastes.of_topics(day, gone <= day), random)
        for visit in visits_of_day(tastes, day, VISITS_A_DAY, random):
            events += _visit(visit, choice.items(visit.topic, length(random, LOOKS)), gone, sold, random)
    items = [_item(tastes, number, int(sellers[number])) for number in range(recipe.items)]
    lifetimes = {
        item.item_id: Lifetime(moment(begins), moment(ends))
        for item, begins, ends in zip(items, tastes.arrival.tolist(), gone.tolist(), strict=True)
    }
    users = [f"buyer-{number}" for number in range(recipe.users)]
    oracle = TasteOracle(tastes, users, [item.item_id for item in items], START, gone)
    return Contents(items, in_order(events), lifetimes, oracle)


def _visit(
    visit: Visit, offers: list[int], gone: Floats, sold: set[int], random: np.random.Generator
) -> Iterator[Event]:
    """Views what others have not bought meanwhile. A purchase marks its offer as sold, and gone from then on."""
    at, last = visit.begins, -1
    session = f"m{visit.user}-{round(visit.begins * 86_400)}"
    who: dict[str, Any] = {"user_id": f"buyer-{visit.user}", "session_id": session}
    for offer in offers:
        if gone[offer] <= at:
            continue
        last = offer
        yield Event(event_type="view", item_id=f"offer-{offer}", timestamp=moment(at), **who)
        if random.random() < LIKED:
            yield Event(event_type="like", item_id=f"offer-{offer}", timestamp=moment(at), **who)
        at += float(random.exponential(1.0)) / 1440
    if random.random() < BUYING and last >= 0 and last not in sold and gone[last] > at:
        yield Event(
            event_type="purchase",
            item_id=f"offer-{last}",
            timestamp=moment(at),
            order_id=f"{session}-order",
            order_size=1,
            quantity=1,
            **who,
        )
        sold.add(last)
        gone[last] = at


def _item(tastes: Tastes, number: int, seller: int) -> Item:
    shelf = f"Shelf {int(tastes.topic_of[number]) + 1}"
    return Item(
        item_id=f"offer-{number}",
        title=f"{shelf}, no. {number}",
        category=shelf,
        owner=f"seller-{seller}",
        published_at=moment(float(tastes.arrival[number])),
    )
