"""Kafka: its two topics, a reader of them, and who of several may read. Nothing here knows what an event is.

What a reader would guess wrong: where reading goes on is not Kafka's committed offset but what the warehouse has, so that a
message counts once whatever dies in between. The committed offset is for displays of lag. And one process reads at a time,
the others stand by: what a user bought before decides what an event counts, so two that write at once could miss each other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from alsobought.errors import WarehouseFault
from alsobought.settings import Settings

log = logging.getLogger(__name__)

EVENT_PARTITIONS, ITEM_PARTITIONS = 6, 1
EVENTS_KEPT_MS, ITEMS_KEPT_MS = 14 * 86_400_000, -1  # items for ever: they are the catalogue
ANSWER_SECONDS = 10.0
SESSION_MS = 6_000  # the least that brokers take as they come: so long after a kill the next takes over


class KafkaAway(WarehouseFault):
    """Kafka does not answer, or refuses."""


@dataclass(frozen=True)
class Topic:
    """A topic and its incarnation: one that was deleted and made again is another, whatever its offsets are."""

    name: str
    incarnation: str
    partitions: int = 1
    of_items: bool = False

    @property
    def source(self) -> str:
        """What `events` calls it.

        >>> Topic("events", "x7Yk").source
        'kafka:events:x7Yk'
        """
        return f"kafka:{self.name}:{self.incarnation}"


@contextmanager
def answering(servers: str) -> Iterator[None]:
    """Turns what Kafka's client raises into KafkaAway."""
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaAway(
                f"Kafka at {servers} lacks a topic", "Who reads them or posts to them makes them"
            ) from error
        raise KafkaAway(
            f"Kafka at {servers} does not answer: {error.args[0].str()}",
            "Is ALSOBOUGHT_KAFKA right, and is it running?",
        ) from error


def topics(settings: Settings, *, make: bool = True) -> dict[str, Topic]:
    """The topic of events and that of items by name, made if they are missing. Raises KafkaAway."""
    with answering(settings.kafka):
        client = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
        made = _make_missing(client, settings) if make else 0
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return _described(client, settings)
            except KafkaException:
                if not made or time.monotonic() > until:
                    raise
            time.sleep(0.05)  # a broker may not know yet what another has just made


def _described(client: Any, settings: Settings) -> dict[str, Topic]:
    names = TopicCollection([settings.events_topic, settings.items_topic])
    described = client.describe_topics(names, request_timeout=ANSWER_SECONDS)
    found = {name: future.result(ANSWER_SECONDS) for name, future in described.items()}
    return {
        name: Topic(name, str(one.topic_id), len(one.partitions), name == settings.items_topic)
        for name, one in found.items()
    }


def _make_missing(client: Any, settings: Settings) -> int:
    there = client.list_topics(timeout=ANSWER_SECONDS).topics
    wanted = [
        NewTopic(settings.events_topic, EVENT_PARTITIONS, config={"retention.ms": str(EVENTS_KEPT_MS)}),
        NewTopic(settings.items_topic, ITEM_PARTITIONS, config={"retention.ms": str(ITEMS_KEPT_MS)}),
    ]
    missing = [one for one in wanted if one.topic not in there]
    for future in client.create_topics(missing).values() if missing else ():
        try:
            future.result(ANSWER_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another made it in this moment
                raise
    return len(missing)


Place = tuple[str, int]
"""A topic's name and one of its partitions."""


def bounds(settings: Settings, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """Of each place the first offset that Kafka still has, and the one that the next message gets. Raises KafkaAway."""
    wanted = [TopicPartition(topic, number) for topic, number in places]
    with answering(settings.kafka):
        client = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
        found: list[dict[Place, int]] = []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
            told = client.list_offsets(dict.fromkeys(wanted, spec), request_timeout=ANSWER_SECONDS)
            found.append(
                {(one.topic, one.partition): future.result(ANSWER_SECONDS).offset for one, future in told.items()}
            )
    return {place: (found[0][place], found[1][place]) for place in found[0]}


def reader(settings: Settings, at: Mapping[Place, int]) -> Consumer:
    """A consumer of these places from these offsets on, in no group: it only tells one how far it is."""
    made = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": settings.kafka_group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 20,
            "log_level": 0,
        }
    )
    made.assign([TopicPartition(topic, number, offset) for (topic, number), offset in at.items()])
    return made


class Lease:
    """The right to read. Of the processes in a group one has it: the one that Kafka gives the first partition of the items."""

    def __init__(self, settings: Settings) -> None:
        self.held = False
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": f"{settings.kafka_group}-writer",
                "enable.auto.commit": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 3,
                "max.poll.interval.ms": 60_000,
                "log_level": 0,
            }
        )
        self._consumer.subscribe(
            [settings.items_topic], on_assign=self._given, on_revoke=self._taken, on_lost=self._taken
        )

    def ask(self, seconds: float = 0.0) -> bool:
        """Whether we have it. To be asked often: who does not ask for a minute loses it."""
        self._consumer.poll(seconds)
        return self.held

    def close(self) -> None:
        """Gives it to the next at once."""
        self._consumer.close()
        self.held = False

    def _given(self, consumer: Consumer, partitions: list[Any]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)  # what is in it is for the reader
        self.held = self.held or any(one.partition == 0 for one in partitions)

    def _taken(self, consumer: Consumer, partitions: list[Any]) -> None:
        consumer.incremental_unassign(partitions)
        self.held = self.held and all(one.partition != 0 for one in partitions)
