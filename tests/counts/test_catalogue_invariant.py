"""However events, partial updates of items, merges and restarts follow each other, the catalogue is what was sent last of each
field, and every count is that of events which have the categories of their items.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from alsobought.authoring.pipe_tests import clear_service
from alsobought.counts.sum_checks import wrong_rows
from alsobought.events import Event
from alsobought.items import Item
from alsobought.service.service import Service
from alsobought.writer.event_categories import events_without
from alsobought.writer.recovery import recover
from alsobought.writer.submission import Submission
from alsobought.writer.writer import Writer
from tests.counts.test_invariant import CHECKS, START, _happened, apply_refunds, events, rebuilt, right
from tests.support.engines import Engine, drop
from tests.support.fold import fold, tables
from tests.support.plain_catalogue import PlainCatalogue, served_catalogue, stored_catalogue
from tests.support.refunds import without_refunded

pytestmark = pytest.mark.usefixtures("known_ids")

ITEMS = "abcdef"


def _sent(*values: Any) -> st.SearchStrategy[Any]:
    """A field of an item: more often left out than given, and sometimes cleared."""
    return st.sampled_from([*[UNSET] * (len(values) + 1), None, *values])


posts = st.builds(
    Item,
    item_id=st.sampled_from(ITEMS),
    title=_sent("Tea", "Mug"),
    category=_sent("Kitchen", "Kitchen/Tea", "Sale"),
    brand=_sent("Acme"),
    price=_sent(0.0, 1.25, 10.5),
    available=_sent(True, False),
    stock=_sent(0, 3),
    tags=_sent([], ["green", "loose"]),
    titles=_sent({}, {"de": "Tee"}, {"de": None, "fi": "Tee"}),
    attributes=_sent({}, {"size": "L"}, {"size": None, "colour": "red"}),
    replace=st.sampled_from([False, False, False, True]),
    removed=st.sampled_from([*[False] * 7, True]),
)
steps = st.lists(
    st.one_of(
        st.lists(posts, min_size=1, max_size=6),
        st.lists(posts, min_size=1, max_size=6),
        st.lists(events, min_size=1, max_size=8),
        st.lists(events, min_size=1, max_size=8),
        st.sampled_from(["restart", "merge", "unmerge", "replay", "rebuild user_categories", "rebuild item_hours"]),
    ),
    min_size=2,
    max_size=9,
)


@dataclass
class Model:
    """What should be stored: the catalogue, and the events by event_id with their categories."""

    catalogue: PlainCatalogue = field(default_factory=PlainCatalogue)
    events: dict[str, Event] = field(default_factory=dict)
    merged: bool = False

    def add(self, rows: list[Any]) -> None:
        if isinstance(rows[0], Item):
            self.catalogue.post(rows)
        else:
            for event in rows:
                self.events.setdefault(event.event_id, event)
        for event_id, event in self.events.items():
            category = event.category or self.catalogue.category(event.item_id)
            self.events[event_id] = msgspec.structs.replace(event, category=category)

    def counts(self) -> dict[str, Any]:
        named = [
            msgspec.structs.replace(event, user_id="ada") if self.merged else event for event in self.events.values()
        ]
        return fold([_happened(event) for event in without_refunded(named)])


@pytest.fixture(scope="module")
def emptied(on: Engine) -> Iterator[Callable[[], Service]]:
    """One service without a writer, emptied for each example."""
    shop = on.shop("catalogues")
    shop.writer.stop()

    def emptied() -> Service:
        clear_service(shop)
        return shop

    yield emptied
    drop(shop)


def follow(shop: Service, steps: list[Any]) -> None:
    """Take these steps, and compare with the model at the end."""
    model, shop = Model(), _restarted(shop)
    for step in steps:
        match step:
            case list():
                shop.writer.submit(Submission(step, waiting=True)).result(30)
                model.add(step)
            case "restart":
                shop = _restarted(shop)
            case "replay":
                recover(shop.warehouse)
            case "merge":
                shop.do("merge", "bruno", "ada")
                model.merged = True
            case "unmerge" if model.merged:
                shop.do("unmerge", "bruno")
                model.merged = False
            case str() if step.startswith("rebuild"):
                rebuilt(shop, step.split()[1])
    apply_refunds(shop.writers[0])
    shop.writer.stop()
    assert stored_catalogue(shop.warehouse) == model.catalogue.items
    assert served_catalogue(shop.warehouse, ITEMS) == {
        item_id: (row["title"], row["category"], row["available"] and row["stock"] != 0)
        for item_id, row in model.catalogue.items.items()
    }
    assert events_without(shop.warehouse) == 0
    assert tables(shop.warehouse) == model.counts()
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()


def _restarted(shop: Service) -> Service:
    shop.writer.stop()
    shop = replace(shop, writer=Writer(shop.warehouse, shop.settings, shop.clock))
    shop.writer.start()
    return shop


@pytest.mark.journey
@given(steps=steps)
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "5")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example takes seconds
)
def test_the_catalogue_and_the_counts_are_those_of_a_plain_model(
    emptied: Callable[[], Service], steps: list[Any]
) -> None:
    follow(emptied(), steps)


def _bought(number: int, item_id: str, category: str = "", user: str = "ada") -> Event:
    order = {"event_type": "purchase", "order_id": "o1", "timestamp": START}
    return Event(event_id=f"e{number}", user_id=user, item_id=item_id, category=category, **order)  # type: ignore[arg-type]


@pytest.mark.thorough
def test_a_category_that_comes_goes_and_comes_again_between_events_and_restarts(
    emptied: Callable[[], Service],
) -> None:
    follow(
        emptied(),
        [
            [_bought(1, "a"), _bought(2, "b", "Gifts"), _bought(3, "c", user="bruno")],
            [Item(item_id="a", title="Tea", price=5.0), Item(item_id="b", category="Kitchen")],
            [Item(item_id="a", category="Kitchen/Tea", attributes={"size": "L", "colour": "red"})],
            "restart",
            [Item(item_id="a", category=None, attributes={"size": None})],
            [_bought(4, "a"), _bought(5, "b")],
            [Item(item_id="b", removed=True), Item(item_id="a", category="Sale", stock=0)],
            [_bought(6, "b"), _bought(7, "a", user="bruno"), _bought(8, "c")],
            "restart",
            [
                Item(item_id="b", category="Kitchen", replace=True),
                Item(item_id="c", category="C"),
                Item(item_id="c", category="D"),
            ],
        ],
    )
