"""The products of the simulated shop: those of the toy shop, and new ones that arrive on some days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from alsobought.demo import toyshop
from alsobought.demo.simulator.draws import normal, uniform

DAYS_BETWEEN_ARRIVALS = 3


@dataclass(frozen=True)
class Product:
    """`quality` moves every shopper's wish for it; it is in the shop from `arrival` on, a day of the simulation."""

    item_id: str
    department: str
    price: float
    quality: float
    arrival: int = 0
    fields: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)


def products(seed: int, days: int) -> list[Product]:
    """Those that can be bought, by day of arrival."""
    known = [
        Product(item["item_id"], item["category"], item["price"], 0.4 * normal(seed, item["item_id"], "quality"))
        for item in toyshop.ITEMS
        if item["item_id"] != toyshop.SOLD_OUT
    ]
    return [*known, *_arrivals(seed, days)]


def departments() -> list[str]:
    return list(dict.fromkeys(item["category"] for item in toyshop.ITEMS))


def _arrivals(seed: int, days: int) -> Iterator[Product]:
    """Good ones, so that it matters whether lists find them."""
    names = departments()
    for number, day in enumerate(range(2, days, DAYS_BETWEEN_ARRIVALS), start=1):
        department = names[int(uniform(seed, number, "department") * len(names))]
        price = round(4 + 26 * uniform(seed, number, "price"), 2)
        item_id, name = f"arrival-{number:02d}", department.rpartition("/")[2]
        fields = {"item_id": item_id, "title": f"{name}, new no. {number}", "category": department, "price": price}
        yield Product(item_id, department, price, 0.8, day, fields)
