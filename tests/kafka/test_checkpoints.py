"""How far reading from Kafka is, on a real broker and without one, and that nothing is left out unseen."""

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
from alsobought.kafka.checkpoints import Gap, Status, disagreements, gaps, read_so_far, status
from alsobought.kafka.client import topics as known_topics
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.storage.ledger import next_offset
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.brokers import Broker
from tests.support.kafka import Topics
from tests.support.process import Run, assert_error, running, serving

SOURCE = "kafka:events:new"
NOWHERE = "127.0.0.1:1"


def read(first: int, until: int, source: str = SOURCE, partition: int = 0, **given: Any) -> dict[str, Any]:
    """A range whose messages were all stored, unless another sum is given."""
    sums = {"messages": until - first, "stored": until - first, "repeats": 0, "refused": 0, "noted_at": NOON} | given
    return {"source": source, "partition": partition, "first_offset": first, "next_offset": until} | sums


def note(shop: Service, *ranges: dict[str, Any]) -> None:
    shop.warehouse.insert("ingest_ranges", msgspec.json.Encoder().encode_lines(ranges))


def found(shop: Service, after: timedelta = timedelta(0), settings: Mapping[str, Any] | None = None) -> Status:
    """The status some time after noon."""
    return status(shop.warehouse, msgspec.structs.replace(shop.settings, **(settings or {})), lambda: NOON + after)


# What the warehouse knows


def test_ranges_that_follow_each_other_overlap_or_are_noted_twice_have_no_gap(shop: Service) -> None:
    note(shop, read(50, 60), read(60, 70), read(65, 68), read(66, 90), read(90, 91), read(0, 5, partition=1))
    note(shop, read(60, 70), read(70, 80, "kafka:events:old"))
    assert gaps(shop.warehouse) == []
    assert found(shop).alarms == []


def test_offsets_that_nobody_read_between_two_ranges_are_a_gap(shop: Service) -> None:
    note(shop, read(0, 10), read(2, 4), read(12, 20), read(20, 21), read(30, 40), read(7, 9, partition=3))
    note(shop, read(10, 11, "kafka:items:new"), read(15, 16, "kafka:items:new"), read(11, 12, partition=3))
    assert gaps(shop.warehouse) == [
        Gap(SOURCE, 0, 10, 12),
        Gap(SOURCE, 0, 21, 30),
        Gap(SOURCE, 3, 9, 11),
        Gap("kafka:items:new", 0, 11, 15),
    ]
    assert found(shop).alarms[0] == "events/0: 2 offsets from 10 on were left out"
    note(shop, read(10, 12), read(21, 30), read(8, 11, partition=3), read(0, 16, "kafka:items:new"))
    assert gaps(shop.warehouse) == [], "read after all"


def test_a_range_that_does_not_add_up_is_told(shop: Service) -> None:
    fine = [read(0, 10, stored=7, repeats=2, refused=1), read(10, 20, messages=3, stored=3)]  # Kafka skips offsets
    note(shop, *fine, read(20, 30, stored=9), read(30, 40, messages=11, stored=11))
    assert [one.first_offset for one in disagreements(shop.warehouse)] == [20, 30]
    assert found(shop).alarms == [
        "events/0, offsets 20 to 30: 9 stored, 0 known and 0 refused are not 10 messages",
        "events/0, offsets 30 to 40: 11 messages are more than there are offsets",
    ]
    note(shop, read(20, 30, noted_at=NOON + timedelta(seconds=1)))
    assert [one.first_offset for one in disagreements(shop.warehouse)] == [30], "the range that was noted last counts"


def test_many_alarms_are_counted(shop: Service) -> None:
    note(shop, *(read(10 * n, 10 * n + 1) for n in range(30)))
    alarms = found(shop).alarms
    assert (len(alarms), alarms[-1]) == (21, "and 9 more gaps")


def test_the_last_minute_and_the_last_hour_are_told_apart_from_all(shop: Service) -> None:
    for minutes, first in ((61, 0), (59, 100), (2, 200), (0.5, 300)):
        sums: dict[str, Any] = {"stored": 80, "repeats": 15, "refused": 5}
        note(shop, read(first, first + 100, **sums, noted_at=NOON - timedelta(minutes=minutes)))
    note(shop, read(400, 420, noted_at=NOON - timedelta(seconds=1)))
    now = found(shop)
    assert msgspec.structs.astuple(now.last_hour) == (4, 320, 260, 45, 15)
    assert msgspec.structs.astuple(now.ever) == (5, 420, 340, 60, 20)
    assert msgspec.structs.astuple(found(shop, timedelta(hours=2)).last_hour) == (0, 0, 0, 0, 0)


def test_the_pace_is_that_of_the_batches(shop: Service) -> None:
    event = Event(event_type="view", user_id="u", item_id="tea")
    for number in (90, 30):
        shop.writer.submit(Submission([event] * number, SOURCE, range(number, 2 * number))).result()
    shop.writer.submit(Submission([event] * 500)).result()
    now, later, gone = (found(shop, timedelta(minutes=minutes)) for minutes in (0.5, 30, 90))
    assert (now.events_per_second, now.events_per_batch) == (2.0, 60.0)
    assert (later.events_per_second, later.events_per_batch) == (0.0, 60.0)
    assert (gone.events_per_second, gone.events_per_batch) == (0.0, 0.0)


def test_the_newest_event_is_kafkas_and_letters_count_until_they_are_replayed(shop: Service) -> None:
    event = Event(event_type="view", user_id="u", item_id="tea")
    shop.writer.submit(Submission([event])).result()
    assert found(shop).newest_event is None
    shop.writer.submit(Submission([event], SOURCE, [5])).result()
    now = found(shop, timedelta(minutes=3))
    assert (now.newest_event, now.seconds_since) == (NOON, 180.0)
    letter = {"source": SOURCE, "topic": "events", "partition": 0, "offset": 1, "reason": "", "encoding": "utf-8"}
    shop.warehouse.insert("dead_letters", json.dumps(letter | {"noted_at": "2026-01-01 12:00:00"}).encode())
    assert found(shop).dead_letters == 1
    done = letter | {"noted_at": "2026-01-01 12:00:01", "replayed_at": "2026-01-01 12:00:01"}
    shop.warehouse.insert("dead_letters", json.dumps(done).encode())
    assert found(shop).dead_letters == 0


def test_all_partitions_at_once_are_what_the_ledger_says_of_each(shop: Service) -> None:
    note(shop, read(0, 10), read(10, 20), read(0, 7, partition=2), read(0, 3, "kafka:items:new"))
    reached = read_so_far(shop.warehouse)
    assert reached == {(SOURCE, 0): 20, (SOURCE, 2): 7, ("kafka:items:new", 0): 3}
    for (source, partition), offset in reached.items():
        assert next_offset(shop.warehouse, source, partition) == offset


def test_without_kafka_the_warehouse_says_what_it_knows(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.kafka.client.ANSWER_SECONDS", 0.5)
    note(
        shop, read(0, 10), read(0, 4, "kafka:items:new"), read(30, 40, "kafka:events:old", noted_at=NOON - timedelta(1))
    )
    for kafka, why in (("", "ALSOBOUGHT_KAFKA is not set"), (NOWHERE, NOWHERE)):
        now = found(shop, settings={"kafka": kafka})
        assert [(part.source, part.read_to, part.lag) for part in now.partitions] == [
            (SOURCE, 10, None),
            ("kafka:items:new", 4, None),
        ]
        assert now.lag is None
        assert why in now.without_kafka
        assert now.alarms == []


# What Kafka knows


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    return Topics(kafka)


def source_of(topics: Topics) -> str:
    """What the events of these topics are called, once they are made."""
    topics.make()
    settings = Settings(**topics.settings)  # type: ignore[arg-type]
    return known_topics(settings, make=False)[settings.events_topic].source


def send(topics: Topics, *partitions: int) -> None:
    """A message to each of these partitions of the events."""
    for partition in partitions:
        topics.send(b"{}", partition=partition)


def test_asking_makes_no_topics(topics: Topics, shop: Service) -> None:
    for _ in range(2):
        now = found(shop, settings=topics.settings)
        assert (now.partitions, now.lag) == ([], None)
        assert "lacks a topic" in now.without_kafka
    client = AdminClient({"bootstrap.servers": topics.broker.address})
    assert topics.settings["events_topic"] not in client.list_topics(timeout=10).topics


def test_lag_is_what_waits_between_where_reading_is_and_the_end(topics: Topics, shop: Service) -> None:
    source = source_of(topics)
    send(topics, *[0] * 10, *[4] * 3)
    note(shop, read(0, 10, source, noted_at=NOON - timedelta(1)), read(0, 1, source, 4), read(0, 99))
    now = found(shop, settings=topics.settings)
    assert {(part.topic, part.partition): (part.read_to, part.end, part.lag) for part in now.partitions} == {
        (f"{topics.name}.events", 0): (10, 10, 0),
        (f"{topics.name}.events", 1): (0, 0, 0),
        (f"{topics.name}.events", 2): (0, 0, 0),
        (f"{topics.name}.events", 3): (0, 0, 0),
        (f"{topics.name}.events", 4): (1, 3, 2),
        (f"{topics.name}.events", 5): (0, 0, 0),
        (f"{topics.name}.items", 0): (0, 0, 0),
    }
    assert (now.lag, now.alarms, now.without_kafka) == (2, [], "")


def test_messages_that_left_kafka_before_they_were_read_are_told(topics: Topics, shop: Service) -> None:
    source = source_of(topics)
    send(topics, *[0] * 10, *[1] * 10, *[2] * 10)
    client = AdminClient({"bootstrap.servers": topics.broker.address})
    gone = [TopicPartition(f"{topics.name}.events", part, 6) for part in (0, 1, 2)]
    for future in client.delete_records(gone).values():
        future.result(10)
    note(shop, read(0, 4, source), read(0, 6, source, 1))  # nothing of partition 2: reading begins where Kafka does
    now = found(shop, settings=topics.settings)
    assert [part.lag for part in now.partitions[:3]] == [4, 4, 4]
    assert now.alarms == [f"{topics.name}.events/0: 2 offsets from 4 on left Kafka before they were read"]


def test_a_log_that_ends_before_what_was_read_is_told(topics: Topics, shop: Service) -> None:
    source = source_of(topics)
    send(topics, 0, 0)
    note(shop, read(0, 5, source))
    now = found(shop, settings=topics.settings)
    assert now.lag == 0
    assert now.alarms == [f"{topics.name}.events/0: Kafka's log ends at 2, before 5, where reading is"]


# The command


@pytest.fixture
def run(run_migrated: Run) -> Run:
    return run_migrated


def put(run: Run, *ranges: dict[str, Any]) -> None:
    """Notes ranges in the warehouse of a command."""
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
def test_the_status_is_told_alone_and_beside_a_running_service(run: Run) -> None:
    ran = run("ingest", "--status")
    assert (ran.status, ran.err) == (0, "")
    assert "ALSOBOUGHT_KAFKA is not set" in ran.out
    assert "Nothing was read yet" in ran.out
    long_ago = datetime(2026, 1, 1)
    put(run, read(0, 1200, stored=1100, repeats=90, refused=10, noted_at=long_ago), read(0, 5, partition=3))
    alone = run("ingest", "--status")
    assert (alone.status, alone.err) == (0, "")
    assert "1,205 messages: 1,105 stored, 90 known already, 10 refused ever" in alone.out
    assert alone.out.endswith("ok nothing was left out\n")
    with serving(run) as service:
        assert run("ingest", "--status") == alone
        service.stop()


def test_what_was_left_out_is_told_and_ends_with_status_1(run: Run) -> None:
    put(run, read(0, 5), read(7, 9))
    ran = run.with_short_timeouts()("ingest", "--status", ALSOBOUGHT_KAFKA=NOWHERE)
    assert ran.status == 1
    assert ran.out.endswith("fault events/0: 2 offsets from 5 on were left out\n")
    assert f"Kafka at {NOWHERE} does not answer" in ran.out
    ran = run("ingest", "--status", "--json")
    assert ran.status == 1
    said = msgspec.json.decode(ran.out, type=Status)
    assert said.alarms == ["events/0: 2 offsets from 5 on were left out"]
    assert [(part.partition, part.read_to, part.end) for part in said.partitions] == [(0, 9, None)]


def test_without_a_warehouse_it_says_so(tmp_path: Path) -> None:
    assert_error(running(tmp_path / "none")("ingest", "--status"), "there is no warehouse", "alsobought migrate up")
