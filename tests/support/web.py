"""Helpers for tests of the endpoints: an event, and queries for its outcome."""

from __future__ import annotations

import json
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alsobought.authoring.pipe_tests import clear_service
from alsobought.counts.sum_checks import wrong_rows
from alsobought.service.service import Service

VIEW = {"event_type": "view", "user_id": "u", "item_id": "tea"}
AWKWARD = "a'b\"c\\d\te{f}%g&h=é🍵\nz"


def emptied(shop: Service) -> Service:
    """The service with all its rows deleted."""
    clear_service(shop)
    return shop


def stored(shop: Service, columns: str = "item_id") -> list[Any]:
    """These columns of the stored events, by seq; a single column as plain values."""
    rows = shop.warehouse.trusted_rows(f"select {columns} from {shop.warehouse.database}.events order by seq").data
    return rows if "," in columns else [row[0] for row in rows]


def wrong_tables(shop: Service) -> dict[str, int]:
    """{count table: rows that differ from a recompute of the events}"""
    checks = shop.settings.home_folder / "sql" / "checks"
    return {name: rows for name, rows in wrong_rows(shop.warehouse, checks) if rows}


def error_of(response: TestResponse) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(response.text)["error"]
    return error


def rejected(response: TestResponse) -> list[tuple[int, str]]:
    """Index and problem of every rejected object."""
    return [(rejection["index"], rejection["problem"]) for rejection in json.loads(response.text)["rejected"]]


def buy(client: FlaskClient, order: str, *items: str, user: str = "u") -> None:
    """Posts an order with one line for each item."""
    line = {"event_type": "purchase", "user_id": user, "order_id": order}
    assert client.post("/events?wait=true", json=[line | {"item_id": item} for item in items]).status_code == 200
