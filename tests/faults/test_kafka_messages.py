"""What messages do: they come twice, late, bad, again from an earlier offset, from other partitions, from a log that was cut."""

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
from tests.faults.inside import prove, read_all, reading, sent
from tests.faults.mixed import START, mixed
from tests.faults.proof import proof, read_log
from tests.faults.rig import THOROUGH, record
from tests.support.brokers import Broker
from tests.support.kafka import Topics, until

MakeShop = Callable[..., Service]
pytestmark = pytest.mark.embedded  # what a server does with the same is tried in the other files


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    made = Topics(kafka)
    made.make()
    return made


def command(shop: Service, sql: str) -> None:
    shop.warehouse.command(sql.replace("{db}", shop.settings.database))


def value(shop: Service, sql: str) -> Any:
    return shop.warehouse.trusted_rows(sql.replace("{db}", shop.settings.database)).data[0][0]


@pytest.mark.parametrize(
    "ids", [True, pytest.param(False, marks=pytest.mark.thorough)], ids=["with event_id", "without"]
)
def test_repeats_reordering_and_poison_at_1_percent_each(make_shop: MakeShop, topics: Topics, ids: bool) -> None:
    shop = make_shop(utc_now, **topics.settings, batch_rows=700)
    sent(topics, mixed(7, ids=ids, repeated=0.01, reordered=0.01, poison=0.01), 4000)
    prove("repeats, reordering and poison, 1 % each", shop, 1, read_all(shop))
    messages, repeats, refused = (
        value(shop, f"select sum({what}) from {{db}}.ingest_ranges final")
        for what in ("messages", "repeats", "refused")
    )
    assert messages == 4000
    assert refused > 20
    assert (repeats > 20) == ids


def test_dead_letters_that_cannot_be_stored_are_not_lost(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings, batch_rows=200)
    stream = mixed(8, poison=0.05)
    sent(topics, stream, 500)
    read_all(shop)
    command(shop, "rename table {db}.dead_letters to {db}.away")
    sent(topics, stream, 1500)
    with reading(shop) as one:
        until(lambda: "dead_letters" in str(one.trouble))
    command(shop, "rename table {db}.away to {db}.dead_letters")
    prove("dead_letters cannot be written for a while", shop, 1, read_all(shop))


@pytest.mark.thorough
def test_poison_only_makes_reading_stand_still_until_a_setting_is_mended(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings)
    stream = mixed(9)
    sent(topics, stream, 300)
    read_all(shop)
    topics.send(
        *({**event, "event_type": "visit"} for event in itertools.islice(stream, 1500) if isinstance(event, dict))
    )
    sent(topics, stream, 300)
    with reading(shop) as one:
        until(lambda: "visit" in str(one.trouble))
    assert value(shop, "select count() from {db}.dead_letters final") < 500
    shop.writer.settings = msgspec.structs.replace(shop.settings, event_types="visit")
    with reading(shop) as one:
        one._settings = shop.writer.settings
        seconds = until(lambda: value(shop, "select count() from {db}.events") == 2100)
    read_all(shop)
    log = msgspec.structs.replace(read_log(shop.settings), more_types=("visit",))
    prove("poison only, then ALSOBOUGHT_EVENT_TYPES", shop, 1, seconds, log)


def test_poison_only_becomes_dead_letters_where_that_is_wanted(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings, dead_letter_max_ratio=1.0)
    sent(topics, mixed(10), 300)
    topics.send(*[b"no event"] * 1500)
    sent(topics, mixed(11), 300)
    prove("poison only, with ALSOBOUGHT_DEAD_LETTER_MAX_RATIO=1", shop, 1, read_all(shop))
    assert value(shop, "select count() from {db}.dead_letters final") == 1500


@pytest.mark.thorough
@pytest.mark.parametrize("ids", [True, False], ids=["with event_id", "without"])
def test_batches_that_come_again_count_once(make_shop: MakeShop, topics: Topics, ids: bool) -> None:
    """Both that Kafka is rewound and that the warehouse forgot what it noted; the ledger stays."""
    shop = make_shop(utc_now, **topics.settings, batch_rows=20)
    sent(topics, mixed(12, ids=ids, poison=0.01), 20 * (100 if THOROUGH else 20))
    read_all(shop)
    before = value(shop, "select count() from {db}.events")
    consumer = Consumer({"bootstrap.servers": topics.broker.address, "group.id": topics.settings["kafka_group"]})
    consumer.commit(
        offsets=[TopicPartition(topics.settings["events_topic"], number, 0) for number in range(6)], asynchronous=False
    )
    consumer.close()
    command(shop, "truncate table {db}.ingest_ranges")
    sent(topics, mixed(13, ids=ids), 100)
    seconds = read_all(shop)
    prove("all batches come again", shop, 1, seconds)
    assert value(shop, "select count() from {db}.events") == before + 100


@pytest.mark.parametrize(
    "ids", [pytest.param(True, marks=pytest.mark.thorough), False], ids=["with event_id", "without"]
)
def test_what_comes_again_after_the_database_has_forgotten_its_tokens_counts_once(
    make_shop: MakeShop, topics: Topics, ids: bool
) -> None:
    """A window of three batches stands for the thousand of the tables; `thorough` has the thousand."""
    shop = make_shop(utc_now, **topics.settings, batch_rows=30)
    tables = [row[0] for row in shop.warehouse.trusted_rows(WINDOWS, {"database": shop.settings.database}).data]
    for table in tables:
        command(shop, f"alter table {{db}}.{table} modify setting non_replicated_deduplication_window = 3")
    sent(topics, mixed(14, ids=ids, poison=0.01), 450)
    read_all(shop)
    command(shop, "truncate table {db}.ingest_ranges")
    seconds = read_all(shop)
    for table in tables:
        command(shop, f"alter table {{db}}.{table} modify setting non_replicated_deduplication_window = 1000")
    prove("an outage longer than the deduplication window", shop, 1, seconds)


WINDOWS = (
    "select name from system.tables where database = {database:String}"
    " and create_table_query like '%non_replicated_deduplication_window%'"
)


@pytest.mark.thorough
def test_an_outage_of_more_batches_than_the_window_holds(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings, batch_rows=1)
    sent(topics, mixed(15), 1100)
    read_all(shop, 600)
    assert value(shop, "select count() from {db}.ingest_batches final") > 1000
    command(shop, "truncate table {db}.ingest_ranges")
    prove("an outage longer than the deduplication window", shop, 1, read_all(shop, 600))


@pytest.mark.parametrize(
    "hours", [[0, -5, 3], pytest.param([0, 48, -1], marks=pytest.mark.thorough)], ids=["back", "ahead"]
)
def test_a_clock_that_jumps_changes_no_count(make_shop: MakeShop, topics: Topics, hours: list[int]) -> None:
    now = [utc_now()]
    shop = make_shop(lambda: now[0], **topics.settings, batch_rows=300)
    stream = mixed(16, repeated=0.01, poison=0.01)
    seconds = 0.0
    for jump in hours:
        now[0] += timedelta(hours=jump)
        sent(topics, stream, 400)
        seconds = max(seconds, read_all(shop))
    prove("the clock jumps", shop, len(hours), seconds)


def test_what_was_read_long_ago_is_not_read_again(make_shop: MakeShop, topics: Topics) -> None:
    """A repeat has no row in `events`, and its event_id is known for a week: what was read of a quiet log must stay known."""
    now = [utc_now() - timedelta(days=60)]
    shop = make_shop(lambda: now[0], **topics.settings)
    sent(topics, mixed(23, repeated=0.05), 500)
    read_all(shop)
    now[0] += timedelta(days=60)
    command(shop, "optimize table {db}.ingest_ranges final")
    sent(topics, mixed(24), 100)
    prove("a log is gone on with after two months", shop, 1, read_all(shop))


@pytest.mark.thorough
def test_a_topic_that_gets_more_partitions_is_read_whole(
    make_shop: MakeShop, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alsobought.kafka.consumer.LOOK_SECONDS", 0.5)
    shop = make_shop(utc_now, **topics.settings)
    name = topics.settings["events_topic"]
    stream = mixed(17)
    with reading(shop):
        sent(topics, stream, 500)
        admin = AdminClient({"bootstrap.servers": topics.broker.address})
        admin.create_partitions([NewPartitions(name, 9)])[name].result(10)
        sent(topics, stream, 500)
        until(lambda: len(read_log(shop.settings).bounds) == 9)
        sent(topics, stream, 1000)
    prove("the topic gets more partitions", shop, 1, read_all(shop))


def test_a_log_that_ends_before_what_was_read_makes_reading_stand_still(make_shop: MakeShop, topics: Topics) -> None:
    shop = make_shop(utc_now, **topics.settings)
    sent(topics, mixed(18), 300)
    read_all(shop)
    log = read_log(shop.settings)
    end = log.bounds[0][1]
    command(
        shop,
        f"insert into {{db}}.ingest_ranges values ('{log.source}', 0, {end}, {end + 50}, 50, 50, 0, 0, now())",
    )
    with reading(shop) as one:
        until(lambda: "its log has lost messages" in str(one.trouble))
        sent(topics, mixed(19), 100)
        assert value(shop, "select count() from {db}.events") == 300
    command(shop, f"alter table {{db}}.ingest_ranges delete where first_offset = {end} settings mutations_sync = 1")
    prove("offsets beyond the log's end", shop, 1, read_all(shop))


def test_messages_that_were_deleted_before_they_were_read_are_a_gap_that_shows(
    make_shop: MakeShop, topics: Topics, caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop(utc_now, **topics.settings)
    sent(topics, mixed(20), 600)
    read_all(shop)
    read = read_log(shop.settings)
    sent(topics, mixed(21), 600)
    unread = read_log(shop.settings)
    until_offset = {number: read.bounds[number][1] + 20 for number in (1, 2)}
    name = topics.settings["events_topic"]
    cut = [TopicPartition(name, number, offset) for number, offset in until_offset.items()]
    admin = AdminClient({"bootstrap.servers": topics.broker.address})
    for future in admin.delete_records(cut).values():
        future.result(10)
    seconds = read_all(shop)
    assert sum("20 messages" in line and "deleted in Kafka" in line for line in caplog.messages) == 2
    left = [one for one in unread.messages if not 0 <= until_offset.get(one.partition, 0) - one.offset - 1 < 20]
    log = msgspec.structs.replace(unread, messages=left)
    found = proof(log, shop.warehouse)
    gaps = [text for text in found.wrong if not text.startswith("ingest_ranges have gaps: 2")]
    assert len(found.wrong) == 1
    assert gaps == []
    found.wrong.clear()
    record("messages deleted in Kafka before they were read: a gap that shows", 1, found, seconds)


@pytest.mark.parametrize("count", [100_000 if THOROUGH else 2_500])
def test_one_user_with_very_many_purchases(make_shop: MakeShop, topics: Topics, count: int) -> None:
    shop = make_shop(utc_now, **topics.settings)
    at = {"timestamp": START.isoformat(), "category": "Garden", "quantity": 1, "price": 1.5}
    topics.send(
        *(
            {"event_type": "purchase", "user_id": "robot", "item_id": f"i{n % 3000}", "order_id": f"o{n // 20}", **at}
            for n in range(count)
        )
    )
    sent(topics, mixed(22), 500)
    prove(f"a user with {count:,} purchases", shop, 1, read_all(shop, 300))


def test_times_of_day_are_those_of_the_messages() -> None:
    """The stream of these tests spans two months, so that counts by month are tried, too."""
    first = itertools.islice(mixed(), 5000)
    assert {datetime.fromisoformat(one["timestamp"]).month for one in first if isinstance(one, dict)} == {11, 12}
