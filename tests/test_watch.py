"""What a running service looks at now and then."""

from __future__ import annotations

import pytest

from app.events import Event
from app.intake import Submission
from app.shop import Shop
from app.watch import Watch


def purchases(shop: Shop, number: int) -> None:
    bought = [Event(event_type="purchase", user_id=f"u{n % 3}", item_id=f"i{n % 5}") for n in range(number)]
    shop.writer.submit(Submission(bought)).result()


def test_right_counts_are_no_alarm(shop: Shop) -> None:
    watch = Watch(shop.writer)
    watch.look()
    purchases(shop, 50)
    watch.look()
    assert watch.wrong == []


@pytest.mark.parametrize("table", ["user_items", "item_hours", "user_categories", "daily_popularity", "ingest_batches"])
def test_a_table_that_does_not_add_up_is_named_and_logged_once(
    shop: Shop, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    purchases(shop, 50)
    shop.warehouse.command(f"truncate table {shop.settings.database}.{table}")
    purchases(shop, 7)
    watch = Watch(shop.writer)
    for _ in range(2):
        watch.look()
        assert watch.wrong == [f"{table} counts 7 events and there are 57"]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_offsets_that_nobody_read_are_an_alarm(shop: Shop) -> None:
    rows = [(0, 10), (10, 20), (25, 30)]
    lines = "".join(
        f'{{"source":"kafka:events:x","partition":2,"first_offset":{first},"next_offset":{after},'
        f'"messages":{after - first},"stored":{after - first}}}\n'
        for first, after in rows
    )
    shop.warehouse.insert("ingest_ranges", lines.encode())
    watch = Watch(shop.writer)
    watch.look()
    (sentence,) = watch.wrong
    assert sentence.startswith("events/2: 5 offsets from 20 on")
