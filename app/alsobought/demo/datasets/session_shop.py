"""Generated: a shop that many visit and few buy from. Most visitors are guests, known for one session.

A tenth of the sessions ends with an order. Half of the products have an accessory, which is often bought with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alsobought.demo.datasets.contents import Contents
from alsobought.demo.datasets.tastes import Choice, Recipe, TasteOracle, Tastes, random_tastes
from alsobought.demo.datasets.visits import SEED, START, Visit, in_order, length, moment, visits_of_day
from alsobought.events import Event
from alsobought.items import Item

RECIPE = Recipe(users=3_000, items=1_500, topics=30, days=84, drift=0.3)
VISITS_A_DAY, LOOKS = 0.12, 4.5
GUESTS = 0.65  # share of the visits
BUYING = 0.1  # share of the visits
ACCESSORY = 0.4  # bought along with its product


def read(recipe: Recipe = RECIPE, seed: int = SEED + 1) -> Contents:
    random = np.random.default_rng(seed)
    tastes = random_tastes(recipe, random)
    accessory = dict(enumerate(random.permutation(recipe.items)[: recipe.items // 2].tolist()))
    events: list[Event] = []
    for day in range(recipe.days):
        choice = Choice(tastes.of_topics(day), random)
        for visit in visits_of_day(tastes, day, VISITS_A_DAY, random):
            events += _session(visit, choice.items(visit.topic, length(random, LOOKS)), accessory, random)
    items = [_item(tastes, number) for number in range(recipe.items)]
    users = [f"customer-{number}" for number in range(recipe.users)]
    oracle = TasteOracle(tastes, users, [item.item_id for item in items], START)
    return Contents(items, in_order(events), {}, oracle)


def _session(visit: Visit, looks: list[int], accessory: dict[int, int], random: np.random.Generator) -> list[Event]:
    session = f"s{visit.user}-{round(visit.begins * 86_400)}"
    fields: dict[str, Any] = {"session_id": session} | (
        {} if random.random() < GUESTS else {"user_id": f"customer-{visit.user}"}
    )
    events, at = [], visit.begins
    for product in looks:
        events.append(Event(event_type="view", item_id=f"product-{product}", timestamp=moment(at), **fields))
        at += float(random.exponential(1.0)) / 1440
    if random.random() >= BUYING:
        return events
    basket = looks[-length(random, 1.6) :]
    basket += [accessory[one] for one in basket if one in accessory and random.random() < ACCESSORY]
    basket = list(dict.fromkeys(basket))
    for product in basket:
        events.append(Event(event_type="add_to_cart", item_id=f"product-{product}", timestamp=moment(at), **fields))
        at += 0.5 / 1440
    order: dict[str, Any] = {"order_id": f"{session}-order", "order_size": len(basket), "quantity": 1}
    events += [
        Event(event_type="purchase", item_id=f"product-{product}", timestamp=moment(at), **order, **fields)
        for product in basket
    ]
    return events


def _item(tastes: Tastes, number: int) -> Item:
    shelf = f"Shelf {int(tastes.topic_of[number]) + 1}"
    return Item(item_id=f"product-{number}", title=f"{shelf}, no. {number}", category=shelf)
