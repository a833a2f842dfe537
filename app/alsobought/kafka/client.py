"""Kafka's topics, the offset bounds of their partitions, and a consumer from given offsets on.

Consumption resumes at the offsets that the warehouse has checkpointed (`offset_ranges`), not at
Kafka's committed ones, so that each message counts once whatever crashes. Committed offsets only
serve displays of lag.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic

from alsobought.kafka.connection import admin_client, client_configuration, unavailable
from alsobought.settings import Settings
from alsobought.writer.submission import Kind

log = logging.getLogger(__name__)

EVENT_PARTITIONS, ITEM_PARTITIONS, USER_PARTITIONS = 6, 1, 1
EVENT_RETENTION_MS, ITEM_RETENTION_MS = 14 * 86_400_000, -1  # items never expire
USER_RETENTION_MS = EVENT_RETENTION_MS  # no erasure reaches what Kafka keeps of a user
REQUEST_SECONDS = 10.0
TRANSIENT_ERRORS = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._PARTITION_EOF,
    KafkaError._TIMED_OUT,
)

Partition = tuple[str, int]
"""A topic's name and the number of one of its partitions."""


@dataclass(frozen=True)
class Topic:
    """A topic.

    Its ID tells it from one of the same name that was deleted before, whose offsets mean other
    messages.
    """

    name: str
    topic_id: str
    partitions: int = 1
    kind: Kind = "event"

    @property
    def source(self) -> str:
        """The value of `events.source`.

        >>> Topic("events", "x7Yk").source
        'kafka:events:x7Yk'
        """
        return f"kafka:{self.name}:{self.topic_id}"


def describe_topics(settings: Settings, *, create: bool = True) -> dict[str, Topic]:
    """The topics of events, items and users by name, created if missing. Raises KafkaUnavailable."""
    with admin_client(settings) as client:
        created = _create_missing(client, settings) if create else 0
        deadline = time.monotonic() + REQUEST_SECONDS
        while True:
            try:
                return _describe(client, settings)
            except KafkaException:
                if not created or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)  # metadata of a new topic reaches the other brokers later


def _describe(client: Any, settings: Settings) -> dict[str, Topic]:
    kinds: dict[str, Kind] = {
        settings.users_topic: "user",
        settings.items_topic: "item",
        settings.events_topic: "event",
    }
    futures = client.describe_topics(TopicCollection(list(kinds)), request_timeout=REQUEST_SECONDS)
    descriptions = {name: future.result(REQUEST_SECONDS) for name, future in futures.items()}
    return {
        name: Topic(name, str(topic.topic_id), len(topic.partitions), kinds[name])
        for name, topic in descriptions.items()
    }


def _create_missing(client: Any, settings: Settings) -> int:
    existing = client.list_topics(timeout=REQUEST_SECONDS).topics
    topics = [
        NewTopic(settings.events_topic, EVENT_PARTITIONS, config={"retention.ms": str(EVENT_RETENTION_MS)}),
        NewTopic(settings.items_topic, ITEM_PARTITIONS, config={"retention.ms": str(ITEM_RETENTION_MS)}),
        NewTopic(settings.users_topic, USER_PARTITIONS, config={"retention.ms": str(USER_RETENTION_MS)}),
    ]
    missing = [topic for topic in topics if topic.topic not in existing]
    for future in client.create_topics(missing).values() if missing else ():
        try:
            future.result(REQUEST_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # created meanwhile
                raise
    return len(missing)


def offset_bounds(settings: Settings, partitions: Iterable[Partition]) -> dict[Partition, tuple[int, int]]:
    """For each partition, the first offset that Kafka still has and the offset of the next message.

    Raises KafkaUnavailable.
    """
    wanted = [TopicPartition(topic, number) for topic, number in partitions]
    with admin_client(settings) as client:
        first, end = (
            {
                (key.topic, key.partition): future.result(REQUEST_SECONDS).offset
                for key, future in client.list_offsets(
                    dict.fromkeys(wanted, spec), request_timeout=REQUEST_SECONDS
                ).items()
            }
            for spec in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
        )
    return {partition: (first[partition], end[partition]) for partition in first}


def open_consumer(settings: Settings, offsets: Mapping[Partition, int]) -> Consumer:
    """A consumer of these partitions from these offsets on.

    It joins no group; its group ID is for committed offsets only.
    """
    consumer = Consumer(
        {
            **client_configuration(settings),
            "group.id": settings.consumer_group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": 65_536,
            "fetch.queue.backoff.ms": 20,
        }
    )
    consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()])
    return consumer


def without_errors(messages: Sequence[Any], settings: Settings) -> list[Any]:
    """The messages of a poll without its transient errors.

    Raises KafkaUnavailable for any other error.
    """
    received = []
    for message in messages:
        if error := message.error():
            if error.code() not in TRANSIENT_ERRORS:
                raise unavailable(settings, [error])
            log.debug("Kafka: %s", error.str())
        else:
            received.append(message)
    return received
