"""Status of ingestion: lag on a real broker and without one, outcomes, rates, and alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from alsobought.events import Event
from alsobought.kafka.client import describe_topics
from alsobought.kafka.ingest_status import Status, status
from alsobought.kafka.offset_ranges import next_offsets
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.storage.ledger import next_offset
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.kafka.offset_ranges import SOURCE, checkpoint, consumed
from tests.support.brokers import Broker
from tests.support.kafka import Topics
from tests.support.process import Run, assert_error, running, serving

NOWHERE = "127.0.0.1:1"


def status_of(shop: Service, after: timedelta = timedelta(0), settings: Mapping[str, Any] | None = None) -> Status:
    """The status at this time after noon."""
    return status(shop.warehouse, msgspec.structs.replace(shop.settings, **(settings or {})), lambda: NOON + after)


# The warehouse alone


def test_outcomes_of_the_last_hour_and_of_all_time(shop: Service) -> None:
    for minutes, first in ((61, 0), (59, 100), (2, 200), (0.5, 300)):
        outcomes: dict[str, Any] = {"stored": 50, "repeats": 15, "refused": 5, "skipped": 30}
        checkpoint(shop, consumed(first, first + 100, **outcomes, noted_at=NOON - timedelta(minutes=minutes)))
    checkpoint(shop, consumed(400, 420, noted_at=NOON - timedelta(seconds=1)))
    now = status_of(shop)
    assert msgspec.structs.astuple(now.last_hour) == (4, 320, 170, 45, 15, 90)
    assert msgspec.structs.astuple(now.ever) == (5, 420, 220, 60, 20, 120)
    assert msgspec.structs.astuple(status_of(shop, timedelta(hours=2)).last_hour) == (0, 0, 0, 0, 0, 0)


def test_rates_are_those_of_the_batches(shop: Service) -> None:
    event = Event(event_type="view", user_id="u", item_id="tea")
    for number in (90, 30):
        shop.writer.submit(Submission([event] * number, SOURCE, range(number, 2 * number))).result()
    shop.writer.submit(Submission([event] * 500)).result()
    now, later, much_later = (status_of(shop, timedelta(minutes=minutes)) for minutes in (0.5, 30, 90))
    assert (now.events_per_second, now.events_per_batch) == (2.0, 60.0)
    assert (later.events_per_second, later.events_per_batch) == (0.0, 60.0)
    assert (much_later.events_per_second, much_later.events_per_batch) == (0.0, 0.0)


def test_the_newest_event_is_from_kafka_and_dead_letters_count_until_they_are_replayed(shop: Service) -> None:
    event = Event(event_type="view", user_id="u", item_id="tea")
    shop.writer.submit(Submission([event])).result()
    assert status_of(shop).newest_event is None
    shop.writer.submit(Submission([event], SOURCE, [5])).result()
    now = status_of(shop, timedelta(minutes=3))
    assert (now.newest_event, now.seconds_since) == (NOON, 180.0)
    letter = {"source": SOURCE, "topic": "events", "partition": 0, "offset": 1, "reason": "", "encoding": "utf-8"}
    shop.warehouse.insert("dead_letters", json.dumps(letter | {"noted_at": "2026-01-01 12:00:00"}).encode())
    assert status_of(shop).dead_letters == 1
    replayed = letter | {"noted_at": "2026-01-01 12:00:01", "replayed_at": "2026-01-01 12:00:01"}
    shop.warehouse.insert("dead_letters", json.dumps(replayed).encode())
    assert status_of(shop).dead_letters == 0


def test_next_offsets_of_all_partitions_are_those_of_the_ledger(shop: Service) -> None:
    checkpoint(shop, consumed(0, 10), consumed(10, 20), consumed(0, 7, partition=2), consumed(0, 3, "kafka:items:new"))
    offsets = next_offsets(shop.warehouse)
    assert offsets == {(SOURCE, 0): 20, (SOURCE, 2): 7, ("kafka:items:new", 0): 3}
    for (source, partition), offset in offsets.items():
        assert next_offset(shop.warehouse, source, partition) == offset


def test_without_kafka_the_status_is_that_of_the_warehouse(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.kafka.client.REQUEST_SECONDS", 0.5)
    checkpoint(
        shop,
        consumed(0, 10),
        consumed(0, 4, "kafka:items:new"),
        consumed(30, 40, "kafka:events:old", noted_at=NOON - timedelta(1)),
    )
    for kafka, problem in (("", "ALSOBOUGHT_KAFKA is not set"), (NOWHERE, NOWHERE)):
        now = status_of(shop, settings={"kafka": kafka})
        assert [(partition.source, partition.next_offset, partition.lag) for partition in now.partitions] == [
            (SOURCE, 10, None),
            ("kafka:items:new", 4, None),
        ]
        assert now.lag is None
        assert problem in now.without_kafka
        assert now.alarms == []


# With Kafka


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    return Topics(kafka)


def source_of(topics: Topics) -> str:
    """The source of the events topic, which is created first."""
    topics.create()
    settings = Settings(**topics.settings)  # type: ignore[arg-type]
    return describe_topics(settings, create=False)[settings.events_topic].source


def send(topics: Topics, *partitions: int) -> None:
    """Send a message to each of these partitions of the events topic."""
    for partition in partitions:
        topics.send(b"{}", partition=partition)


@pytest.mark.thorough
def test_the_status_creates_no_topics(topics: Topics, shop: Service) -> None:
    for _ in range(2):
        now = status_of(shop, settings=topics.settings)
        assert (now.partitions, now.lag) == ([], None)
        assert "topic missing in Kafka" in now.without_kafka
    client = AdminClient({"bootstrap.servers": topics.broker.address})
    assert topics.settings["events_topic"] not in client.list_topics(timeout=10).topics


def test_lag_is_the_number_of_messages_between_the_next_offset_and_the_end(topics: Topics, shop: Service) -> None:
    source = source_of(topics)
    send(topics, *[0] * 10, *[4] * 3)
    checkpoint(shop, consumed(0, 10, source, noted_at=NOON - timedelta(1)), consumed(0, 1, source, 4), consumed(0, 99))
    now = status_of(shop, settings=topics.settings)
    assert {(lag.topic, lag.partition): (lag.next_offset, lag.end, lag.lag) for lag in now.partitions} == {
        (f"{topics.name}.events", 0): (10, 10, 0),
        (f"{topics.name}.events", 1): (0, 0, 0),
        (f"{topics.name}.events", 2): (0, 0, 0),
        (f"{topics.name}.events", 3): (0, 0, 0),
        (f"{topics.name}.events", 4): (1, 3, 2),
        (f"{topics.name}.events", 5): (0, 0, 0),
        (f"{topics.name}.items", 0): (0, 0, 0),
        (f"{topics.name}.users", 0): (0, 0, 0),
    }
    assert (now.lag, now.alarms, now.without_kafka) == (2, [], "")


def test_messages_that_expired_before_they_were_read_are_an_alarm(topics: Topics, shop: Service) -> None:
    source = source_of(topics)
    send(topics, *[0] * 10, *[1] * 10, *[2] * 10)
    client = AdminClient({"bootstrap.servers": topics.broker.address})
    deleted = [TopicPartition(f"{topics.name}.events", number, 6) for number in (0, 1, 2)]
    for future in client.delete_records(deleted).values():
        future.result(10)
    checkpoint(
        shop, consumed(0, 4, source), consumed(0, 6, source, 1)
    )  # none of partition 2: it resumes at its first offset
    now = status_of(shop, settings=topics.settings)
    assert [partition.lag for partition in now.partitions[:3]] == [4, 4, 4]
    assert now.alarms == [f"{topics.name}.events/0: 2 offsets from 4 on expired in Kafka before they were read"]


def test_a_log_that_ends_before_the_next_offset_is_an_alarm(topics: Topics, shop: Service) -> None:
    source = source_of(topics)
    send(topics, 0, 0)
    checkpoint(shop, consumed(0, 5, source))
    now = status_of(shop, settings=topics.settings)
    assert now.lag == 0
    assert now.alarms == [f"{topics.name}.events/0: Kafka's log ends at 2, before the next offset to read, 5"]


# The command


@pytest.fixture
def run(run_migrated: Run) -> Run:
    return run_migrated


def checkpoint_by_command(run: Run, *ranges: dict[str, Any]) -> None:
    """Insert ranges in a process of its own."""
    run.python(
        f"""
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        warehouse.insert("ingest_ranges", {msgspec.json.Encoder().encode_lines(ranges)!r})
        warehouse.close()
        """
    )


@pytest.mark.thorough
def test_the_status_is_the_same_alone_and_beside_a_running_service(run: Run) -> None:
    ran = run("ingest", "--status")
    assert (ran.status, ran.err) == (0, "")
    assert "ALSOBOUGHT_KAFKA is not set" in ran.out
    assert "No messages were read yet" in ran.out
    long_ago = datetime(2026, 1, 1)
    checkpoint_by_command(
        run, consumed(0, 1200, stored=1100, repeats=90, refused=10, noted_at=long_ago), consumed(0, 5, partition=3)
    )
    alone = run("ingest", "--status")
    assert (alone.status, alone.err) == (0, "")
    assert "total: 1,205 messages, 1,105 stored, 90 duplicates, 10 rejected, 0 skipped" in alone.out
    assert alone.out.endswith("ok no offsets were missed\n")
    with serving(run) as service:
        assert run("ingest", "--status") == alone
        service.stop()


def test_missed_offsets_are_a_fault_with_exit_status_1(run: Run) -> None:
    checkpoint_by_command(run, consumed(0, 5), consumed(7, 9))
    ran = run.with_short_timeouts()("ingest", "--status", ALSOBOUGHT_KAFKA=NOWHERE)
    assert ran.status == 1
    assert ran.out.endswith("fault events/0: 2 offsets from 5 on were missed\n")
    assert f"Kafka at {NOWHERE} does not answer" in ran.out
    ran = run("ingest", "--status", "--json")
    assert ran.status == 1
    decoded = msgspec.json.decode(ran.out, type=Status)
    assert decoded.alarms == ["events/0: 2 offsets from 5 on were missed"]
    assert [(lag.partition, lag.next_offset, lag.end) for lag in decoded.partitions] == [(0, 9, None)]


def test_json_has_the_deprecated_names_too(run: Run) -> None:
    checkpoint_by_command(run, consumed(0, 9, stored=5, repeats=3, refused=1))
    values = json.loads(run("ingest", "--status", "--json").out)
    (partition,) = values["partitions"]
    assert partition["next_offset"] == partition["next_offset"] == 9
    for outcomes in (values["last_hour"], values["ever"]):
        assert (outcomes["duplicates"], outcomes["rejected"]) == (outcomes["repeats"], outcomes["refused"])
    assert (values["ever"]["duplicates"], values["ever"]["rejected"]) == (3, 1)


def test_without_a_warehouse_it_is_an_error(tmp_path: Path) -> None:
    assert_error(running(tmp_path / "none")("ingest", "--status"), "there is no warehouse", "alsobought migrate up")
