"""Kafka: its two topics, and a consumer of them. Nothing here knows what an event is.

What a reader would guess wrong: where a consumer goes on is not Kafka's committed offset but what the warehouse has, so that a
message counts once whatever dies in between. The committed offset is for displays of lag.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from app.errors import WarehouseFault

log = logging.getLogger(__name__)

EVENTS, ITEMS = "events", "items"
PARTITIONS = {EVENTS: 6, ITEMS: 1}
KEPT_MS = {EVENTS: 14 * 86_400_000, ITEMS: -1}  # items for ever: they are the catalogue
GROUP = "alsobought"
ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class Topic:
    """A topic and its incarnation: one that was deleted and made again is another, whatever its offsets are."""

    name: str
    incarnation: str

    @property
    def source(self) -> str:
        """What `events` calls it.

        >>> Topic("events", "x7Yk").source
        'kafka:events:x7Yk'
        """
        return f"kafka:{self.name}:{self.incarnation}"


def topics(servers: str) -> dict[str, Topic]:
    """The two topics by name, made if they are missing. Raises WarehouseFault if Kafka does not answer."""
    from confluent_kafka import KafkaException, TopicCollection
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    client = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    try:
        there = client.list_topics(timeout=ANSWER_SECONDS).topics
        missing = [
            NewTopic(name, PARTITIONS[name], config={"retention.ms": str(KEPT_MS[name])})
            for name in PARTITIONS
            if name not in there
        ]
        for future in client.create_topics(missing).values() if missing else ():
            future.result(ANSWER_SECONDS)
        described = client.describe_topics(TopicCollection(list(PARTITIONS)))
        return {name: Topic(name, str(future.result(ANSWER_SECONDS).topic_id)) for name, future in described.items()}
    except KafkaException as error:
        raise WarehouseFault(
            f"Kafka at {servers} does not answer: {error.args[0].str()}",
            "Is ALSOBOUGHT_KAFKA right, and is it running?",
        ) from error


def consumer(servers: str) -> Any:
    """A consumer in the group, which tells nobody where it is by itself."""
    from confluent_kafka import Consumer

    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": GROUP,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "log_level": 0,
        }
    )


@dataclass(frozen=True)
class Log:
    """What Kafka holds of one partition: offsets from `first` to before `end`."""

    partition: int
    first: int
    end: int


def logs(servers: str) -> dict[Topic, list[Log]]:
    """The partitions of those of our topics that there are. Makes nothing, joins no group.

    Raises WarehouseFault if Kafka does not answer.
    """
    from confluent_kafka import KafkaException, TopicCollection, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

    client = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    ends: Any = OffsetSpec
    try:
        there = client.list_topics(timeout=ANSWER_SECONDS).topics
        names = [name for name in PARTITIONS if name in there]
        described = client.describe_topics(TopicCollection(names)) if names else {}
        ids = {name: str(future.result(ANSWER_SECONDS).topic_id) for name, future in described.items()}
        parts = [TopicPartition(name, number) for name in names for number in sorted(there[name].partitions)]
        bounds = []
        for spec in (ends.earliest(), ends.latest()) if parts else ():
            asked = client.list_offsets(dict.fromkeys(parts, spec), request_timeout=ANSWER_SECONDS)
            bounds.append({(of.topic, of.partition): f.result(ANSWER_SECONDS).offset for of, f in asked.items()})
        return {
            Topic(name, ids[name]): [
                Log(part.partition, *(bound[name, part.partition] for bound in bounds))
                for part in parts
                if part.topic == name
            ]
            for name in names
        }
    except (KafkaException, TimeoutError) as error:
        why = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
        raise WarehouseFault(
            f"Kafka at {servers} does not answer: {why}",
            "Is ALSOBOUGHT_KAFKA right, and is it running?",
        ) from error
