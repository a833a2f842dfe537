"""What a running service looks at now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.events import Event
from app.intake import Submission
from app.shop import Shop
from app.watch import Watch
from app.web.factory import create_app


@contextmanager
def watching(shop: Shop) -> Iterator[Watch]:
    watch = Watch(shop.writer)
    try:
        yield watch
    finally:
        watch.stop()


def purchases(shop: Shop, number: int) -> None:
    bought = [Event(event_type="purchase", user_id=f"u{n % 3}", item_id=f"i{n % 5}") for n in range(number)]
    shop.writer.submit(Submission(bought)).result()


def test_right_counts_are_no_alarm(shop: Shop) -> None:
    with watching(shop) as watch:
        watch.look()
        purchases(shop, 50)
        watch.look()
        assert watch.alarms == []


@pytest.mark.parametrize("table", ["user_items", "item_hours", "user_categories", "daily_popularity", "ingest_batches"])
def test_a_table_that_does_not_add_up_is_named_and_logged_once(
    shop: Shop, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    purchases(shop, 50)
    shop.warehouse.command(f"truncate table {shop.settings.database}.{table}")
    purchases(shop, 7)
    with watching(shop) as watch:
        for _ in range(2):
            watch.look()
            assert watch.alarms == [f"{table} counts 7 events and there are 57"]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_offsets_that_nobody_read_are_an_alarm_in_the_metrics_too(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(kafka="127.0.0.1:1")
    lines = "".join(
        f'{{"source":"kafka:events:x","partition":2,"first_offset":{first},"next_offset":{after},'
        f'"messages":{after - first},"stored":{after - first}}}\n'
        for first, after in [(0, 10), (10, 20), (25, 30)]
    )
    shop.warehouse.insert("ingest_ranges", lines.encode())
    with watching(shop) as watch:
        watch.look()
        assert watch.alarms == ["events/2: 5 offsets from 20 on were left out"]
        page = create_app(shop, watch).test_client().get("/metrics").text
    assert "alsobought_alarms 1.0" in page
    assert 'alsobought_kafka_messages_total{outcome="stored"} 25.0' in page
    assert "alsobought_dead_letters 0.0" in page
