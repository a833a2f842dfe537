"""How long records that may name people are kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alsobought.service.service import Service

LETTERS = """
{"source": "SOURCE", "topic": "events", "partition": 0, "offset": 1, "reason": "r", "body": "old", "noted_at": "OLD"}
{"source": "SOURCE", "topic": "events", "partition": 0, "offset": 2, "reason": "r", "body": "new", "noted_at": "NEW"}
"""


@pytest.mark.parametrize(("source", "days", "ages"), [("http", 0, (31, 29)), ("http", 9, (10, 8)), ("k", 90, (91, 89))])
def test_dead_letters_expire(make_shop: Callable[..., Service], source: str, days: int, ages: tuple[int, int]) -> None:
    shop = make_shop(dead_letter_retention_days=days)
    old, new = (_days_ago(shop, age) for age in ages)
    lines = LETTERS.replace("SOURCE", source).replace("OLD", old).replace("NEW", new)
    shop.warehouse.insert("dead_letters", lines.strip().encode())
    shop.warehouse.command(f"optimize table {shop.settings.database}.dead_letters final")
    assert _column(shop, "body", "dead_letters") == ["new"]


def test_recorded_requests_expire_by_the_week(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(request_retention_days=10)
    for pipe, age in (("new", 9), ("old", 20)):
        row = f'{{"time": "{_days_ago(shop, age)}", "pipe": "{pipe}"}}'
        shop.warehouse.insert("requests", row.encode())
    shop.warehouse.command(f"optimize table {shop.settings.database}.requests final")
    assert _column(shop, "pipe", "requests") == ["new"]


def _days_ago(shop: Service, days: int) -> str:
    return str(shop.warehouse.trusted_rows(f"select toString(now64(3, 'UTC') - interval {days} day)").data[0][0])


def _column(shop: Service, column: str, table: str) -> list[str]:
    return [
        str(value)
        for (value,) in shop.warehouse.trusted_rows(f"select {column} from {shop.settings.database}.{table}").data
    ]
