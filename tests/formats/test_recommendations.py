"""The list that showed a product, in the calls of analytics tools."""

from __future__ import annotations

from typing import Any

import pytest

from alsobought.events import Event
from alsobought.formats import ga4, segment, snowplow

ID = "AZt4__kA8BMRSyZDBWaJnPnJg2FwSi2N"


def only_event(outcome: object) -> Event:
    assert isinstance(outcome, list)
    (event,) = outcome
    assert isinstance(event, Event)
    return event


@pytest.mark.parametrize(
    ("item", "params", "expected"),
    [
        ({"item_list_id": ID, "index": 0}, {}, (ID, 1)),  # Google counts from 0
        ({"index": 4}, {"item_list_id": ID}, (ID, 5)),
        ({"recommendation_id": ID, "item_list_id": "sale"}, {}, (ID, 0)),
        ({"item_list_id": "sale", "index": 4}, {}, ("", 0)),  # the name of another list
        ({"item_list_id": ID, "index": "first"}, {}, (ID, 0)),
    ],
)
def test_ga4(item: dict[str, Any], params: dict[str, Any], expected: tuple[str, int]) -> None:
    called = {"name": "select_item", "params": {**params, "items": [{"item_id": "tea", **item}]}}
    event = only_event(ga4.read({"client_id": "1.2", "events": [called]}))
    assert (event.recommendation_id, event.position) == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"recommendation_id": ID, "position": 3}, (ID, 3)),
        ({"list_id": ID, "position": 3}, (ID, 3)),
        ({"list_id": "sale", "position": 3}, ("", 0)),
        ({"recommendation_id": "forged"}, ("forged", 0)),
    ],
)
def test_segment(properties: dict[str, Any], expected: tuple[str, int]) -> None:
    call = {
        "type": "track",
        "event": "Product Clicked",
        "userId": "ada",
        "properties": {"product_id": "tea", **properties},
    }
    event = only_event(segment.read(call))
    assert (event.recommendation_id, event.position) == expected


def test_snowplow() -> None:
    event = only_event(
        snowplow.read(
            {
                "event_name": "snowplow_ecommerce_action",
                "user_id": "ada",
                snowplow.ACTION: {"type": "list_click", "name": ID},
                snowplow.PRODUCTS: [{"id": "tea", "position": 2}],
            }
        )
    )
    assert (event.recommendation_id, event.position) == (ID, 2)
