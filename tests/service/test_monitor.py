"""The monitor of a running service: alarms, log and metrics."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from alsobought.events import Event
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from alsobought.writer.submission import Submission, utc_now


@contextmanager
def running_monitor(shop: Service) -> Iterator[Monitor]:
    monitor = Monitor(shop.writer)
    try:
        yield monitor
    finally:
        monitor.stop()


def purchases(shop: Service, number: int) -> None:
    bought = [Event(event_type="purchase", user_id=f"u{n % 3}", item_id=f"i{n % 5}") for n in range(number)]
    shop.writer.submit(Submission(bought)).result()


def test_correct_counts_raise_no_alarm(shop: Service) -> None:
    with running_monitor(shop) as monitor:
        monitor.refresh()
        purchases(shop, 50)
        monitor.refresh()
        assert monitor.alarms == []


@pytest.mark.parametrize("table", ["user_items", "item_hours", "user_categories", "daily_popularity", "ingest_batches"])
def test_a_table_that_does_not_add_up_is_named_and_logged_once(
    shop: Service, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    purchases(shop, 50)
    shop.warehouse.command(f"truncate table {shop.settings.database}.{table}")
    purchases(shop, 7)
    with running_monitor(shop) as monitor:
        for _ in range(2):
            monitor.refresh()
            assert monitor.alarms == [f"{table} counts 7 events, but there are 57"]
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


@pytest.mark.thorough
def test_missed_offsets_are_an_alarm_also_in_the_metrics(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(kafka="127.0.0.1:1")
    lines = "".join(
        f'{{"source":"kafka:events:x","partition":2,"first_offset":{first},"next_offset":{after},'
        f'"messages":{after - first},"stored":{after - first}}}\n'
        for first, after in [(0, 10), (10, 20), (25, 30)]
    )
    shop.warehouse.insert("ingest_ranges", lines.encode())
    with running_monitor(shop) as monitor:
        monitor.refresh()
        assert monitor.alarms == ["events/2: 5 offsets from 20 on were missed"]
        page = create_app(shop, monitor).test_client().get("/metrics").text
    assert "alsobought_alarms 1.0" in page
    assert 'alsobought_kafka_messages_consumed_total{outcome="stored"} 25.0' in page
    assert 'alsobought_kafka_messages_total{outcome="stored"} 25.0' in page, "the deprecated name"
    assert "alsobought_dead_letters 0.0" in page


@pytest.mark.thorough
def test_a_wrong_sample_is_logged_once_and_in_the_metrics_until_it_is_right(
    shop: Service, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.service.monitor.SAMPLE", "40%")
    purchases(shop, 50)
    row = f"{shop.settings.database}.user_categories"
    alarm = "rows of user_categories differ from a recompute of the events"
    with running_monitor(shop) as monitor:
        monitor.refresh(sums=False, sample=True)
        assert monitor.alarms == []
        for ghost in range(30):  # a sample contains some of them
            shop.warehouse.command(f"insert into {row} values ('ghost{ghost}', '', 'view', 1), ('u1', '', 'view', 0)")
        for _ in range(3):
            monitor.refresh(sums=False, sample=True)
            assert monitor.alarms == [alarm]
        page = create_app(shop, monitor).test_client().get("/metrics").text
        assert "alsobought_alarms 1.0" in page
        assert 'alsobought_check_wrong_rows{table="item_hours"} 0.0' in page
        assert not re.search(r'alsobought_check_wrong_rows{table="user_categories"} 0.0', page)
        assert re.search(r'alsobought_check_rows{table="user_categories"} [1-9]', page)
        assert re.search(r"^alsobought_check_time_seconds 1\.\d+e\+09$", page, re.MULTILINE)
        assert re.search(r"^alsobought_check_seconds \d", page, re.MULTILINE)
        shop.warehouse.command(
            f"alter table {row} delete where startsWith(user_id, 'ghost') settings mutations_sync = 2"
        )
        monitor.refresh(sums=False, sample=True)
        assert monitor.alarms == []
    assert [record.getMessage().partition(";")[0] for record in caplog.records if record.levelname == "ERROR"] == [
        alarm
    ]


def test_counts_of_expired_events_raise_no_alarm(make_shop: Callable[..., Service]) -> None:
    shop = make_shop(utc_now, event_retention_days=30)
    purchases(shop, 10)
    shop.warehouse.command(
        f"alter table {shop.settings.database}.events delete where item_id != '' settings mutations_sync = 2"
    )
    with running_monitor(shop) as monitor:
        monitor.refresh()
        assert monitor.alarms == []
