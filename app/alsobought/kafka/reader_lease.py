"""The lease that lets one process at a time consume Kafka; the others stand by.

One reader, because the events that a user has stored before decide how the next one counts: two
processes that write at once could each miss the other's events.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import Consumer

from alsobought.kafka.connection import NOT_AUTHORIZED, client_configuration, unavailable
from alsobought.settings import Settings

# The smallest session that brokers accept by default: a standby takes over this long after a kill.
SESSION_MS = 6_000


class ReaderLease:
    """Held by the process to which the consumer group assigns partition 0 of the items topic."""

    def __init__(self, settings: Settings) -> None:
        self.held, self._settings = False, settings
        self._consumer = Consumer(
            {
                **client_configuration(settings),
                "group.id": f"{settings.consumer_group}-writer",
                "enable.auto.commit": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": SESSION_MS,
                "heartbeat.interval.ms": SESSION_MS // 3,
                "max.poll.interval.ms": 60_000,
            }
        )
        self._consumer.subscribe(
            [settings.items_topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def renew(self, seconds: float = 0.0) -> bool:
        """Poll the group; True if this process holds the lease.

        Without a call for a minute the lease is lost. Raises KafkaUnavailable if this user may not join the group.
        """
        message = self._consumer.poll(seconds)
        if message and (error := message.error()) and error.code() in NOT_AUTHORIZED:
            raise unavailable(self._settings, [error])
        return self.held

    def close(self) -> None:
        """Release the lease to the next process at once."""
        self._consumer.close()
        self.held = False

    def _on_assign(self, consumer: Consumer, partitions: list[Any]) -> None:
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)  # TopicConsumer reads their messages, from checkpoints
        self.held = self.held or any(partition.partition == 0 for partition in partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[Any]) -> None:
        consumer.incremental_unassign(partitions)
        self.held = self.held and all(partition.partition != 0 for partition in partitions)
