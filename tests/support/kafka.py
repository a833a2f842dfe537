"""Topics of a test's own on the broker of the session, and messages sent to them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Producer

from alsobought.kafka.client import describe_topics
from alsobought.settings import Settings
from tests.support.brokers import Broker


@dataclass(frozen=True)
class Topics:
    """Three topics with names of their own, and the settings that name them."""

    broker: Broker
    name: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")

    @property
    def settings(self) -> dict[str, str]:
        return {
            "kafka": self.broker.address,
            "kafka_group": self.name,
            "events_topic": f"{self.name}.events",
            "items_topic": f"{self.name}.items",
            "users_topic": f"{self.name}.users",
        }

    @property
    def environment(self) -> dict[str, str]:
        return {f"ALSOBOUGHT_{name.upper()}": value for name, value in self.settings.items()}

    def create(self) -> None:
        describe_topics(Settings(**self.settings))  # type: ignore[arg-type]

    def send(self, *messages: Any, items: bool = False, users: bool = False, partition: int | None = None) -> None:
        """Send objects or bytes, each under the key of its user, or all to one partition."""
        topic = "items_topic" if items else "users_topic" if users else "events_topic"
        send(self.broker, self.settings[topic], messages, partition)


def send(broker: Broker, topic: str, messages: Sequence[Any], partition: int | None = None) -> None:
    """Return once the broker has all messages.

    The producer is not idempotent: that would take half a second to start, and tests read back the log.
    """
    configuration = {"bootstrap.servers": broker.address, "acks": "all", "max.in.flight": 1, "log_level": 0}
    producer = Producer({**configuration, "partitioner": "murmur2_random", "linger.ms": 5})
    errors: list[Any] = []
    for message in messages:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        key = message.get("user_id", "") if isinstance(message, dict) else ""
        options = {} if partition is None else {"partition": partition}
        on_delivery = lambda error, _: errors.append(error) if error else None  # noqa: E731
        while True:
            try:
                producer.produce(topic, body, key=key, on_delivery=on_delivery, **options)  # type: ignore[arg-type]
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    assert not errors


def until(condition: Callable[[], bool], seconds: float = 30.0, every: float = 0.05) -> float:
    """Wait until the condition holds; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds
        time.sleep(every)
    return time.monotonic() - began
