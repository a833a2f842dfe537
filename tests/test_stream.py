"""Kafka to the warehouse on a real broker: every message counts once, and what cannot is a dead letter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from app.counts import wrong_rows
from app.intake import utc_now
from app.kafka import topics
from app.settings import HOME
from app.shop import Shop
from app.stream import Stream
from tests.brokers import Broker, broker
from tests.engines import Engine
from tests.process import Run, running, serving, told

VIEW = {"event_type": "view", "item_id": "tea"}


@pytest.fixture(scope="module")
def kafka() -> Iterator[Broker]:
    with broker() as running:
        topics(running.address)
        yield running


def produce(kafka: Broker, *messages: Any, topic: str = "events") -> None:
    """Objects or bytes, each under the key of its user."""
    producer = Producer({"bootstrap.servers": kafka.address, "enable.idempotence": True, "acks": "all"})
    for message in messages:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        key = message.get("user_id", "") if isinstance(message, dict) else ""
        producer.produce(topic, body, key=key)
    assert producer.flush(30) == 0


def until(found: Callable[[], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < ends
        time.sleep(0.05)


def values(shop: Shop, sql: str) -> list[list[Any]]:
    return shop.warehouse.rows(sql.replace("{db}", shop.settings.database)).data


@pytest.fixture
def reading(make_shop: Callable[..., Shop], kafka: Broker) -> Iterator[tuple[Shop, Stream]]:
    shop = make_shop(kafka=kafka.address)
    stream = Stream(shop.writer, shop.settings)
    stream.start()
    yield shop, stream
    stream.stop()


def test_events_items_track_calls_and_poison(reading: tuple[Shop, Stream], kafka: Broker) -> None:
    shop, stream = reading
    before = stream.done.messages
    track = {"type": "track", "event": "Order Completed", "userId": "seg", "messageId": "m1"}
    track["properties"] = {"order_id": "o1", "products": [{"product_id": "tea"}, {"product_id": "pot"}]}  # type: ignore[assignment]
    produce(kafka, {"item_id": "tea", "title": "Green tea"}, b"nonsense", topic="items")
    produce(
        kafka,
        *({**VIEW, "user_id": f"u{n % 7}", "event_id": f"a{n}"} for n in range(200)),
        {**VIEW, "user_id": "u1", "event_id": "a1"},  # a repeat
        {**VIEW, "user_id": "no-id"},
        track,
        b"\xff\xfe not json",
        {"event_type": "buy", "user_id": "u", "item_id": "tea"},
        {**VIEW, "user_id": "u", "timestamp": "2999-01-01T00:00:00Z"},
    )
    until(lambda: stream.done.messages - before >= 208)
    (counted,) = values(shop, "select count(), uniqExact(event_id) from {db}.events where user_id != ''")
    assert counted == [203, 203]
    assert values(shop, "select sum(baskets) from {db}.co_baskets") == [[2]]
    assert values(shop, "select dictGet('{db}.catalogue', 'title', cityHash64('tea'))") == [["Green tea"]]
    dead = values(shop, "select reason, body from {db}.dead_letters final order by reason")
    assert len(dead) == 4
    assert any("'buy' is not one of" in reason for reason, _ in dead)
    assert any("day ahead" in reason for reason, _ in dead)
    assert not [wrong for _, wrong in wrong_rows(shop.warehouse, HOME / "sql" / "checks") if wrong]


def test_a_reader_goes_on_where_the_warehouse_is_whatever_kafka_remembers(on: Engine, kafka: Broker) -> None:
    shop = on.borrowed(utc_now, kafka=kafka.address)
    produce(kafka, *({**VIEW, "user_id": f"r{n}"} for n in range(50)))  # without event_id: known by their place
    for _ in range(2):
        stream = Stream(shop.writer, shop.settings)
        stream.start()
        until(lambda: values(shop, "select count() from {db}.events where user_id like 'r%'") == [[50]])
        time.sleep(0.5)
        stream.stop()
    assert values(shop, "select count(), max(partition) > 0 from {db}.events where user_id like 'r%'") == [[50, True]]
    on.give_back(shop)


def test_killed_while_it_reads_the_ingester_loses_and_doubles_nothing(kafka: Broker, tmp_path: Path) -> None:
    run = running(tmp_path / "data", ALSOBOUGHT_KAFKA=kafka.address)
    lines = [
        {"event_type": "purchase", "user_id": f"k{n % 40}", "order_id": f"o{n % 300}", "item_id": f"i{n % 90}"}
        for n in range(30_000)
    ]
    for point in ("ingest.after_insert:2", "ingest.before_insert:2", "ingest.after_insert", "ingest.after_insert:3"):
        produce(kafka, *lines[:7_500])
        del lines[:7_500]
        ran = _ingest(run, ALSOBOUGHT_FAILPOINT=point, ALSOBOUGHT_BATCH_ROWS="1000")
        assert ran.wait(60) == -signal.SIGKILL
    ingester = _ingest(run)
    ask = ("pipe", "run", "active_users", "limit=1")
    until(lambda: _stored(run, ingester) == 30_000, 90)
    assert run("check").status == 0
    assert run(*ask).status == 0


def _ingest(run: Run, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "ingest"],
        env=run.environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def _stored(run: Run, ingester: subprocess.Popen[str]) -> int:
    """How many events of the kill test there are, once the ingester has let the folder go."""
    time.sleep(6)
    ingester.terminate()
    assert ingester.wait(30) == 0
    found = run.python(
        """
        from app.settings import from_environment
        from app.warehouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        print(warehouse.value("select count() from events where user_id like 'k%'"))
        warehouse.close()
        """
    )
    return int(found)


def test_a_service_with_kafka_shows_what_is_produced(kafka: Broker, tmp_path: Path) -> None:
    with serving(running(tmp_path / "data", ALSOBOUGHT_KAFKA=kafka.address)) as service:
        produce(kafka, {**VIEW, "user_id": "served", "item_id": "from-kafka"})
        path = "/pipes/recently_viewed?user_id=served"
        until(lambda: [row["item_id"] for row in service.ask(path)[1]["data"]] == ["from-kafka"])
        service.stop()


def test_without_kafka_or_with_one_that_is_away_it_says_so(tmp_path: Path) -> None:
    told(running(tmp_path / "data")("ingest"), "no Kafka to read from", "ALSOBOUGHT_KAFKA")
    away = running(tmp_path / "data", ALSOBOUGHT_KAFKA="127.0.0.1:1")("ingest")
    told(away, "127.0.0.1:1", "ALSOBOUGHT_KAFKA")
