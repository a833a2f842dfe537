"""Kafka to the warehouse on a real broker: every message counts once or becomes a dead letter."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from alsobought.diagnostics.warehouse_checks import check_kafka
from alsobought.kafka.consumer import TopicConsumer
from alsobought.kafka.halts import current_halt
from alsobought.kafka.ingest_status import status
from alsobought.privacy.guests import merge_guests
from alsobought.service.ipc_protocol import SOCKET
from alsobought.service.service import Service
from alsobought.writer.submission import utc_now
from tests.support.brokers import Broker
from tests.support.kafka import Topics, until
from tests.support.process import Run, assert_error, running, serving
from tests.support.web import wrong_tables

VIEW = {"event_type": "view", "item_id": "tea"}


def values(shop: Service, sql: str) -> list[list[Any]]:
    return shop.warehouse.rows(sql.replace("{db}", shop.settings.database)).data


def outcomes(shop: Service) -> list[int]:
    """Messages, stored, duplicates and rejected of all ranges."""
    sql = "select sum(messages), sum(stored), sum(repeats), sum(refused) from {db}.ingest_ranges final"
    return values(shop, sql)[0]


@contextmanager
def consuming(shop: Service) -> Iterator[TopicConsumer]:
    consumer = TopicConsumer(shop.writer, shop.settings, merge_guests)
    consumer.start()
    try:
        yield consumer
    finally:
        consumer.stop()


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    return Topics(kafka)


@pytest.fixture
def shop(make_shop: Callable[..., Service], topics: Topics) -> Service:
    return make_shop(**topics.settings)


def test_events_items_track_calls_and_undecodable_messages(shop: Service, topics: Topics) -> None:
    track = {"type": "track", "event": "Order Completed", "userId": "seg", "messageId": "m1"}
    track["properties"] = {"order_id": "o1", "products": [{"product_id": "tea"}, {"product_id": "pot"}]}  # type: ignore[assignment]
    with consuming(shop) as consumer:
        topics.create()
        topics.send({"item_id": "tea", "title": "Green tea"}, b"nonsense", items=True)
        topics.send(
            *({**VIEW, "user_id": f"u{n % 7}", "event_id": f"a{n}"} for n in range(200)),
            {**VIEW, "user_id": "u1", "event_id": "a1"},  # a duplicate
            {**VIEW, "user_id": "no-id"},
            track,
            b"\xff\xfe not json",
            {"event_type": "buy", "user_id": "u", "item_id": "tea"},
            {**VIEW, "user_id": "u", "timestamp": "2999-01-01T00:00:00Z"},
        )
        until(lambda: consumer.totals.messages >= 208)
    assert values(shop, "select count(), uniqExact(event_id) from {db}.events") == [[203, 203]]
    assert values(shop, "select sum(baskets) from {db}.co_baskets") == [[2]]
    assert values(shop, "select dictGet('{db}.catalogue', 'title', cityHash64('tea'))") == [["Green tea"]]
    dead = values(shop, "select reason, encoding from {db}.dead_letters final order by reason")
    assert len(dead) == 4
    assert any("'buy' is not one of" in reason for reason, _ in dead)
    assert any("day ahead" in reason for reason, _ in dead)
    assert {encoding for _, encoding in dead} == {"utf-8", "base64"}
    assert outcomes(shop) == [208, 203, 1, 4]
    assert wrong_tables(shop) == {}


def test_users_come_from_a_topic_and_from_identify_calls_among_events(
    make_shop: Callable[..., Service], topics: Topics
) -> None:
    shop = make_shop(utc_now, **topics.settings)
    topics.create()
    identify = {"type": "identify", "userId": "bruno", "traits": {"plan": "pro", "email": "b@example.com"}}
    topics.send(
        {"user_id": "ada", "attributes": {"plan": "free", "age": 34}},
        {"user_id": "ada", "attributes": {"plan": "pro"}},
        {"user_id": "gone", "attributes": {"plan": "pro"}},
        {"user_id": "ada", "attributes": {"address": {}}},
        users=True,
    )
    topics.send(identify, {**identify, "userId": "gone"}, {**VIEW, "user_id": "bruno"})
    time.sleep(0.01)
    shop.do("forget", "gone")
    with consuming(shop) as consumer:
        until(lambda: consumer.totals.messages >= 7)
    sql = "select user_id, attributes from {db}.users final where not removed order by user_id"
    assert values(shop, sql) == [["ada", {"age": ["34"], "plan": ["pro"]}], ["bruno", {"plan": ["pro"]}]]
    assert [reason for (reason,) in values(shop, "select reason from {db}.dead_letters final")] == [
        "attributes.address: an object; an attribute is a word, a number, true or false, or a list of words"
    ]
    assert outcomes(shop) == [7, 4, 0, 1]
    with consuming(shop) as consumer:
        time.sleep(0.3)
        assert consumer.totals.messages == 0


def test_a_consumer_resumes_at_the_checkpoint_of_the_warehouse(shop: Service, topics: Topics) -> None:
    topics.create()
    topics.send(*({**VIEW, "user_id": f"r{n}"} for n in range(50)))  # without event_id: identified by their offsets
    for expected in (50, 0):
        with consuming(shop) as consumer:
            until(lambda expected=expected: consumer.totals.messages == expected, 10)  # type: ignore[misc]
            if not expected:
                topics.send({**VIEW, "user_id": "last"})
                until(lambda: consumer.totals.messages == 1)
    assert values(shop, "select count(), max(partition) > 0 from {db}.events") == [[51, True]]
    assert outcomes(shop)[0] == 51


def test_messages_after_the_last_checkpoint_are_read_again_and_count_once(shop: Service, topics: Topics) -> None:
    topics.create()
    topics.send(*({**VIEW, "user_id": f"r{n}"} for n in range(50)), b"bad")
    for _ in range(2):
        with consuming(shop) as consumer:
            until(lambda: consumer.totals.messages == 51)
        shop.warehouse.command(f"truncate table {shop.settings.database}.ingest_ranges")
    assert values(shop, "select count() from {db}.events") == [[50]]
    assert values(shop, "select count() from {db}.dead_letters final") == [[1]]


def test_too_many_dead_letters_halt_the_stream_and_nothing_is_lost(
    make_shop: Callable[..., Service], topics: Topics
) -> None:
    shop = make_shop(**topics.settings)
    topics.create()
    valid = [{**VIEW, "user_id": "u", "event_id": f"valid{n}"} for n in range(300)]
    topics.send(*valid)
    with consuming(shop) as consumer:
        until(lambda: consumer.totals.messages == 300)
        topics.send(*[{"event_type": "visit", "user_id": "u", "item_id": "tea"}] * 2000, {**VIEW, "user_id": "late"})
        until(lambda: consumer.error is not None)
        assert "'visit' is not one of" in str(consumer.error)
        assert "ALSOBOUGHT_DEAD_LETTER_MAX_RATIO" in str(consumer.error)
    before = values(shop, "select count() from {db}.dead_letters final")[0][0]
    assert before < 1000
    corrected = make_shop(**topics.settings, event_types="visit")  # a new warehouse, as after a fix
    with consuming(corrected) as consumer:
        until(lambda: consumer.totals.messages == 2301)
    assert values(corrected, "select countIf(event_type = 'visit'), count() from {db}.events") == [[2000, 2301]]


def test_a_topic_of_which_a_fifth_is_ours_is_read_without_a_halt(shop: Service, topics: Topics) -> None:
    """Of five messages one is an event of ours: a plain one, or one of each format. Identify calls merge their guest."""
    ours = [
        {**VIEW, "user_id": "plain", "event_id": "e1"},
        {"type": "track", "event": "Product Viewed", "userId": "seg", "properties": {"product_id": "tea"}},
        {"client_id": "1.2", "events": [{"name": "view_item", "params": {"items": [{"item_id": "tea"}]}}] * 2},
        {
            "collector_tstamp": "2026-01-01T11:00:00Z",
            "event_name": "transaction_item",
            "ti_sku": "tea",
            "user_id": "snow",
        },
        {"type": "track", "event": "Product Viewed", "anonymousId": "device-7", "properties": {"product_id": "tea"}},
    ]
    foreign = [
        {"type": "page", "userId": "seg", "messageId": "m"},
        {"type": "identify", "userId": "seg", "anonymousId": "device-7", "traits": {"plan": "x"}},
        {"client_id": "1.2", "events": [{"name": "page_view"}]},
        {"collector_tstamp": "2026-01-01T11:00:00Z", "event_name": "page_ping", "domain_userid": "d"},
    ]
    topics.create()
    topics.send(*[message for number in range(100) for message in (ours[number % 5], *foreign)])
    topics.send({"type": "track", "event": "Product Viewed", "userId": "seg", "properties": {}})
    with consuming(shop) as consumer:
        until(lambda: consumer.totals.messages == 501)
        assert consumer.error is None
        assert (consumer.totals.rejected, consumer.totals.skipped, consumer.totals.merged) == (1, 400, 1)
    users = dict(values(shop, "select user_id, count() from {db}.events group by user_id"))
    assert users == {"plain": 1, "seg": 40, "1.2": 40, "snow": 20}
    assert outcomes(shop) == [501, 81, 19, 1], "stored, duplicates and rejected; the others are skipped"
    assert values(shop, "select sum(skipped) from {db}.ingest_ranges final") == [[400]]
    now = status(shop.warehouse, shop.settings)
    assert (now.ever.skipped, now.alarms) == (400, [])
    assert wrong_tables(shop) == {}


def test_skipped_messages_do_not_hide_dead_letters(shop: Service, topics: Topics) -> None:
    topics.create()
    page, faulty = {"type": "page", "userId": "u"}, {"event_type": "visit", "user_id": "u", "item_id": "tea"}
    topics.send(*[page, page, page, faulty] * 500)
    with consuming(shop) as consumer:
        until(lambda: consumer.error is not None)
        assert "halted: " in str(consumer.error)


def test_messages_of_bots_are_skipped_and_counted_by_bot(shop: Service, topics: Topics) -> None:
    topics.create()
    bot = {**VIEW, "user_id": "u", "properties": {"user_agent": "UptimeRobot/2.0"}}
    topics.send(*[bot, {**VIEW, "user_id": "u"}] * 20)
    with consuming(shop) as consumer:
        until(lambda: consumer.totals.messages == 40)
    assert (consumer.totals.stored, consumer.totals.skipped) == (20, 20)
    assert values(shop, "select bot, sum(events) from {db}.dropped_events group by bot") == [["UptimeRobot", 20]]


def test_a_halt_is_recorded_until_reading_goes_on(make_shop: Callable[..., Service], topics: Topics) -> None:
    shop = make_shop(**topics.settings)
    topics.create()
    topics.send(*[{"event_type": "visit", "user_id": "u", "item_id": "tea"}] * 500)
    with consuming(shop) as consumer:
        until(lambda: consumer.error is not None and current_halt(shop.warehouse) is not None)
    now = status(shop.warehouse, shop.settings)
    assert now.halt is not None
    assert now.halt.reason.startswith("halted: 500 of the latest 500 messages are dead letters")
    assert now.alarms == [now.halt.reason]
    (finding,) = [found for found in check_kafka(shop.warehouse, shop.settings) if found.state == "fault"]
    assert (finding.message, finding.advice) == (now.halt.reason, now.halt.hint)
    settings = msgspec.structs.replace(shop.settings, event_types="visit")
    corrected = TopicConsumer(shop.writer, settings)
    corrected.start()
    until(lambda: corrected.totals.messages == 500 and current_halt(shop.warehouse) is None)
    corrected.stop()
    assert status(shop.warehouse, settings).alarms == []
    assert values(shop, "select count(), countIf(ended_at is null) from {db}.ingest_halts final") == [[1, 0]]


def test_partitions_added_to_a_topic_are_read(shop: Service, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.kafka.consumer.TOPIC_REFRESH_SECONDS", 0.5)
    topics.create()
    admin = AdminClient({"bootstrap.servers": topics.broker.address})
    with consuming(shop) as consumer:
        topics.send(*({**VIEW, "user_id": f"r{n}"} for n in range(20)))
        admin.create_partitions([NewPartitions(topics.settings["events_topic"], 8)])[
            topics.settings["events_topic"]
        ].result(10)
        topics.send(*[{**VIEW, "user_id": "late"}] * 5, partition=7)
        until(lambda: consumer.totals.messages == 25)


def test_a_topic_that_was_deleted_and_created_again_is_another_source(shop: Service, topics: Topics) -> None:
    topics.create()
    admin = AdminClient({"bootstrap.servers": topics.broker.address})
    name = topics.settings["events_topic"]
    for user in ("before", "after"):
        topics.send(*[{**VIEW, "user_id": user}] * 10, partition=0)
        with consuming(shop) as consumer:
            until(lambda: consumer.totals.messages == 10)
        if user == "before":
            admin.delete_topics([name])[name].result(10)
            until(lambda: name not in admin.list_topics(timeout=5).topics)
            topics.create()
    assert values(shop, "select user_id, count() from {db}.events group by user_id order by user_id") == [
        ["after", 10],
        ["before", 10],
    ]
    assert values(shop, "select uniqExact(source) from {db}.events") == [[2]]


@pytest.mark.thorough
def test_a_killed_ingester_loses_nothing_and_counts_nothing_twice(topics: Topics, tmp_path: Path) -> None:
    run = running(tmp_path / "data", **topics.environment, ALSOBOUGHT_BATCH_ROWS="1000")
    topics.create()
    lines = [
        {"event_type": "purchase", "user_id": f"k{n % 40}", "order_id": f"o{n % 300}", "item_id": f"i{n % 90}"}
        for n in range(5_000)
    ]
    topics.send(*lines)
    assert _ingest(run, ALSOBOUGHT_FAILPOINT="ingest.after_insert:2").wait(60) == -signal.SIGKILL
    (tmp_path / "data" / SOCKET).unlink(missing_ok=True)  # left behind by the kill
    ingester = _ingest(run)
    until((tmp_path / "data" / SOCKET).exists)
    until(lambda: json.loads(run("ingest", "--status", "--json").out)["lag"] == 0, 60, 0.5)
    ingester.terminate()
    assert ingester.wait(30) == 0
    assert run("check").status == 0


def _ingest(run: Run, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alsobought", "ingest"],
        env=run.environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_service_with_kafka_answers_with_produced_events(topics: Topics, tmp_path: Path) -> None:
    with serving(running(tmp_path / "data", **topics.environment)) as service:
        topics.create()
        topics.send({**VIEW, "user_id": "served", "item_id": "from-kafka"})
        path = "/pipes/recently_viewed?user_id=served"
        until(lambda: [row["item_id"] for row in service.ask(path)[1]["data"]] == ["from-kafka"])
        service.stop()


def test_without_kafka_the_command_is_an_error(tmp_path: Path) -> None:
    assert_error(running(tmp_path / "data")("ingest"), "no Kafka to read from", "ALSOBOUGHT_KAFKA")
    unavailable = running(tmp_path / "data", ALSOBOUGHT_KAFKA="127.0.0.1:1").with_short_timeouts()("ingest")
    assert_error(unavailable, "127.0.0.1:1", "ALSOBOUGHT_KAFKA")


def test_events_of_a_forgotten_user_that_are_still_in_kafka_are_not_stored(
    make_shop: Callable[..., Service], topics: Topics
) -> None:
    shop = make_shop(utc_now, **topics.settings)
    topics.create()
    ahead = (utc_now() + timedelta(hours=20)).isoformat()
    topics.send(
        {**VIEW, "user_id": "ada"}, {**VIEW, "user_id": "ada", "timestamp": ahead}, {**VIEW, "user_id": "bruno"}
    )
    assert shop.do("forget", "ada")["tables"][0]["rows_before"] == 0
    time.sleep(0.01)
    with consuming(shop) as consumer:
        topics.send({**VIEW, "user_id": "ada", "item_id": "mug"})
        until(lambda: consumer.totals.messages >= 4)
    assert sorted(values(shop, "select user_id, item_id from {db}.events")) == [["ada", "mug"], ["bruno", "tea"]]
    assert outcomes(shop) == [4, 2, 2, 0]
    assert wrong_tables(shop) == {}
