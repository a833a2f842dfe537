"""Faults of messages: repeated, reordered, invalid, consumed again, in new partitions, expired or lost in Kafka."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from alsobought.service.service import Service
from alsobought.writer.submission import utc_now
from tests.faults.in_process import consume_all, consuming, prove_service, send
from tests.faults.mixed import START, mixed
from tests.faults.proof import prove, read_log
from tests.faults.rig import THOROUGH, record
from tests.support.brokers import Broker
from tests.support.kafka import Topics, until

MakeShop = Callable[..., Service]
pytestmark = pytest.mark.embedded  # the other files test a server


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    topics = Topics(kafka)
    topics.create()
    return topics


def command(shop: Service, sql: str) -> None:
    shop.warehouse.command(sql.replace("{db}", shop.settings.database))


def value(shop: Service, sql: str) -> Any:
    return shop.warehouse.trusted_rows(sql.replace("{db}", shop.settings.database)).data[0][0]


@pytest.mark.parametrize(
    "ids", [True, pytest.param(False, marks=pytest.mark.thorough)], ids=["with event_id", "without"]
)
def test_one_percent_each_of_repeated_reordered_and_invalid_messages(
    make_shop: MakeShop, topics: Topics, ids: bool
) -> None:
    shop = make_shop(utc_now, **topics.settings, batch_rows=700)
    send(topics, mixed(7, ids=ids, repeated=0.01, reordered=0.01, invalid=0.01), 4000)
    prove_service("duplicates, reordering and poison messages, 1 % each", shop, 1, consume_all(shop))
    messages, duplicates, rejected = (
        value(shop, f"select sum({column}) from {{db}}.ingest_ranges final")
        for column in ("messages", "repeats", "refused")
    )
    assert messages == 4000
    assert rejected > 20
    assert (duplicates > 20) == ids


def test_dead_letters_that_cannot_be_stored_are_not_lost(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings, batch_rows=200)
    stream = mixed(8, invalid=0.05)
    send(topics, stream, 500)
    consume_all(shop)
    command(shop, "rename table {db}.dead_letters to {db}.away")
    send(topics, stream, 1500)
    with consuming(shop) as consumer:
        until(lambda: "dead_letters" in str(consumer.error))
    command(shop, "rename table {db}.away to {db}.dead_letters")
    prove_service("dead_letters cannot be written for a while", shop, 1, consume_all(shop))


@pytest.mark.thorough
def test_invalid_messages_only_halt_the_stream_until_a_setting_is_corrected(
    make_shop: MakeShop, topics: Topics
) -> None:
    shop = make_shop(utc_now, **topics.settings)
    stream = mixed(9)
    send(topics, stream, 300)
    consume_all(shop)
    topics.send(
        *({**event, "event_type": "visit"} for event in itertools.islice(stream, 1500) if isinstance(event, dict))
    )
    send(topics, stream, 300)
    with consuming(shop) as consumer:
        until(lambda: "visit" in str(consumer.error))
    assert value(shop, "select count() from {db}.dead_letters final") < 500
    shop.writer.settings = msgspec.structs.replace(shop.settings, event_types="visit")
    with consuming(shop) as consumer:
        consumer._settings = shop.writer.settings
        seconds = until(lambda: value(shop, "select count() from {db}.events") == 2100)
    consume_all(shop)
    log = msgspec.structs.replace(read_log(shop.settings), extra_types=("visit",))
    prove_service("poison messages only, then ALSOBOUGHT_EVENT_TYPES", shop, 1, seconds, log)


def test_invalid_messages_only_become_dead_letters_with_a_ratio_of_1(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings, dead_letter_max_ratio=1.0)
    send(topics, mixed(10), 300)
    topics.send(*[b"no event"] * 1500)
    send(topics, mixed(11), 300)
    prove_service("poison messages only, with ALSOBOUGHT_DEAD_LETTER_MAX_RATIO=1", shop, 1, consume_all(shop))
    assert value(shop, "select count() from {db}.dead_letters final") == 1500


@pytest.mark.thorough
@pytest.mark.parametrize("ids", [True, False], ids=["with event_id", "without"])
def test_batches_that_are_consumed_again_count_once(make_shop: MakeShop, topics: Topics, ids: bool) -> None:
    """Committed offsets are rewound and checkpoints lost; the ledger of batches remains."""
    shop = make_shop(utc_now, **topics.settings, batch_rows=20)
    send(topics, mixed(12, ids=ids, invalid=0.01), 20 * (100 if THOROUGH else 20))
    consume_all(shop)
    before = value(shop, "select count() from {db}.events")
    consumer = Consumer({"bootstrap.servers": topics.broker.address, "group.id": topics.settings["kafka_group"]})
    consumer.commit(
        offsets=[TopicPartition(topics.settings["events_topic"], number, 0) for number in range(6)], asynchronous=False
    )
    consumer.close()
    command(shop, "truncate table {db}.ingest_ranges")
    send(topics, mixed(13, ids=ids), 100)
    seconds = consume_all(shop)
    prove_service("all batches are read again", shop, 1, seconds)
    assert value(shop, "select count() from {db}.events") == before + 100


@pytest.mark.thorough
@pytest.mark.parametrize("ids", [True, False], ids=["with event_id", "without"])
def test_messages_consumed_again_beyond_the_deduplication_window_count_once(
    make_shop: MakeShop, topics: Topics, ids: bool
) -> None:
    """A window of three batches instead of the thousand of the tables, which `thorough` has."""
    shop = make_shop(utc_now, **topics.settings, batch_rows=30)
    tables = [row[0] for row in shop.warehouse.trusted_rows(WINDOWS, {"database": shop.settings.database}).data]
    for table in tables:
        command(shop, f"alter table {{db}}.{table} modify setting non_replicated_deduplication_window = 3")
    send(topics, mixed(14, ids=ids, invalid=0.01), 450)
    consume_all(shop)
    command(shop, "truncate table {db}.ingest_ranges")
    seconds = consume_all(shop)
    for table in tables:
        command(shop, f"alter table {{db}}.{table} modify setting non_replicated_deduplication_window = 1000")
    prove_service("an outage longer than the deduplication window", shop, 1, seconds)


WINDOWS = (
    "select name from system.tables where database = {database:String}"
    " and create_table_query like '%non_replicated_deduplication_window%'"
)


@pytest.mark.thorough
def test_an_outage_of_more_batches_than_the_window_holds(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings, batch_rows=1)
    send(topics, mixed(15), 1100)
    consume_all(shop, 600)
    assert value(shop, "select count() from {db}.ingest_batches final") > 1000
    command(shop, "truncate table {db}.ingest_ranges")
    prove_service("an outage longer than the deduplication window", shop, 1, consume_all(shop, 600))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "hours", [[0, -5, 3], pytest.param([0, 48, -1], marks=pytest.mark.thorough)], ids=["back", "ahead"]
)
def test_a_clock_that_jumps_changes_no_count(make_shop: MakeShop, topics: Topics, hours: list[int]) -> None:
    now = [utc_now()]
    shop = make_shop(lambda: now[0], **topics.settings, batch_rows=300)
    stream = mixed(16, repeated=0.01, invalid=0.01)
    seconds = 0.0
    for jump in hours:
        now[0] += timedelta(hours=jump)
        send(topics, stream, 400)
        seconds = max(seconds, consume_all(shop))
    prove_service("the clock jumps", shop, len(hours), seconds)


def test_messages_consumed_long_ago_are_not_consumed_again(make_shop: MakeShop, topics: Topics) -> None:
    """A duplicate has no row in `events`, so after the deduplication window only checkpoints skip it."""
    now = [utc_now() - timedelta(days=60)]
    shop = make_shop(lambda: now[0], **topics.settings)
    send(topics, mixed(23, repeated=0.05), 500)
    consume_all(shop)
    now[0] += timedelta(days=60)
    command(shop, "optimize table {db}.ingest_ranges final")
    send(topics, mixed(24), 100)
    prove_service("a topic is read on after two months", shop, 1, consume_all(shop))


@pytest.mark.thorough
def test_partitions_added_to_a_topic_are_consumed(
    make_shop: MakeShop, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.kafka.consumer.TOPIC_REFRESH_SECONDS", 0.5)
    shop = make_shop(utc_now, **topics.settings)
    name = topics.settings["events_topic"]
    stream = mixed(17)
    with consuming(shop):
        send(topics, stream, 500)
        admin = AdminClient({"bootstrap.servers": topics.broker.address})
        admin.create_partitions([NewPartitions(name, 9)])[name].result(10)
        send(topics, stream, 500)
        until(lambda: len(read_log(shop.settings).bounds) == 9)
        send(topics, stream, 1000)
    prove_service("the topic gets more partitions", shop, 1, consume_all(shop))


def test_a_log_that_ends_before_its_checkpoint_halts_the_stream(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings)
    send(topics, mixed(18), 300)
    consume_all(shop)
    log = read_log(shop.settings)
    end = log.bounds[0][1]
    command(
        shop,
        f"insert into {{db}}.ingest_ranges values ('{log.source}', 0, {end}, {end + 50}, 50, 50, 0, 0, 0, now())",
    )
    with consuming(shop) as consumer:
        until(lambda: "its log has lost messages" in str(consumer.error))
        send(topics, mixed(19), 100)
        assert value(shop, "select count() from {db}.events") == 300
    command(shop, f"alter table {{db}}.ingest_ranges delete where first_offset = {end} settings mutations_sync = 1")
    prove_service("offsets beyond the log's end", shop, 1, consume_all(shop))


def test_messages_that_expired_before_they_were_consumed_are_a_reported_gap(
    make_shop: MakeShop, topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop(utc_now, **topics.settings)
    send(topics, mixed(20), 600)
    consume_all(shop)
    consumed = read_log(shop.settings)
    send(topics, mixed(21), 600)
    unread = read_log(shop.settings)
    until_offset = {number: consumed.bounds[number][1] + 20 for number in (1, 2)}
    name = topics.settings["events_topic"]
    cut = [TopicPartition(name, number, offset) for number, offset in until_offset.items()]
    admin = AdminClient({"bootstrap.servers": topics.broker.address})
    for future in admin.delete_records(cut).values():
        future.result(10)
    seconds = consume_all(shop)
    assert sum("20 messages" in line and "expired in Kafka" in line for line in caplog.messages) == 2
    remaining = [
        message
        for message in unread.messages
        if not 0 <= until_offset.get(message.partition, 0) - message.offset - 1 < 20
    ]
    log = msgspec.structs.replace(unread, messages=remaining)
    findings = prove(log, shop.warehouse)
    (problem,) = findings.problems
    assert problem.startswith("ingest_ranges have gaps: 2")
    findings.problems.clear()
    record("messages deleted in Kafka before they were read: the gap is reported", 1, findings, seconds)


@pytest.mark.thorough
@pytest.mark.parametrize("count", [100_000 if THOROUGH else 2_500])
def test_a_user_with_very_many_purchases(make_shop: MakeShop, topics: Topics, count: int) -> None:
    shop = make_shop(utc_now, **topics.settings)
    at = {"timestamp": START.isoformat(), "category": "Garden", "quantity": 1, "price": 1.5}
    topics.send(
        *(
            {"event_type": "purchase", "user_id": "robot", "item_id": f"i{n % 3000}", "order_id": f"o{n // 20}", **at}
            for n in range(count)
        )
    )
    send(topics, mixed(22), 500)
    prove_service(f"a user with {count:,} purchases", shop, 1, consume_all(shop, 300))


def test_the_stream_spans_two_months() -> None:
    """So that counts by month are tested too."""
    first = itertools.islice(mixed(), 5000)
    assert {datetime.fromisoformat(message["timestamp"]).month for message in first if isinstance(message, dict)} == {
        11,
        12,
    }
