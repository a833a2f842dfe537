"""What the tests of the endpoints share: an event, and ways to look at what became of it."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alsobought.authoring.pipe_tests import empty
from alsobought.counts.sum_checks import wrong_rows
from alsobought.service.service import Service

VIEW = {"event_type": "view", "user_id": "u", "item_id": "tea"}
AWKWARD = "a'b\"c\\d\te{f}%g&h=é🍵\nz"


def emptied(shop: Service) -> Service:
    """The shop without its rows."""
    empty(shop)
    return shop


def stored(shop: Service, columns: str = "item_id") -> list[Any]:
    """These columns of the events in the warehouse, in the order they came; one column as plain values."""
    rows = shop.warehouse.trusted_rows(f"select {columns} from {shop.warehouse.database}.events order by seq").data
    return rows if "," in columns else [row[0] for row in rows]


def wrong(shop: Service) -> dict[str, int]:
    """The count tables that are not what the events say."""
    checks = shop.settings.home_folder / "sql" / "checks"
    return {name: rows for name, rows in wrong_rows(shop.warehouse, checks) if rows}


def error_of(got: TestResponse) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(got.text)["error"]
    return error


def refused(got: TestResponse) -> list[tuple[int, str]]:
    """Place and problem of every object that was not taken."""
    return [(one["index"], one["problem"]) for one in json.loads(got.text)["rejected"]]


def buy(client: FlaskClient, order: str, *items: str, user: str = "u") -> None:
    """A line of the order for each item."""
    line = {"event_type": "purchase", "user_id": user, "order_id": order}
    assert client.post("/events?wait=true", json=[line | {"item_id": item} for item in items]).status_code == 200
