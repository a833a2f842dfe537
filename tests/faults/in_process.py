"""Consume and prove in the test's own process, for faults that need its clock or its tables."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought.kafka.consumer import TopicConsumer
from alsobought.service.service import Service
from tests.faults.mixed import Message
from tests.faults.proof import Findings, TopicLog, prove, read_log
from tests.faults.rig import record
from tests.support.kafka import Topics, until


def send(topics: Topics, stream: Iterator[Message], count: int) -> int:
    """Send the next `count` messages of the stream."""
    topics.send(*itertools.islice(stream, count))
    return count


@contextmanager
def consuming(service: Service, messages: int = 0, seconds: float = 30.0) -> Iterator[TopicConsumer]:
    """A running consumer; at the end it is stopped once it has consumed `messages`."""
    consumer = TopicConsumer(service.writer, service.settings)
    consumer.start()
    try:
        yield consumer
        if messages:
            until(lambda: consumer.totals.messages >= messages, seconds)
    finally:
        consumer.stop()


def consume_all(service: Service, seconds: float = 30.0) -> float:
    """Let a new consumer run until the present end of the topic is checkpointed; returns the seconds."""
    log = read_log(service.settings)
    sql = f"select partition, max(next_offset) from {service.settings.database}.ingest_ranges"
    sql += f" where source = '{log.source}' group by partition"

    def at_end() -> bool:
        checkpoints = dict(service.warehouse.rows(sql).data)
        return all(checkpoints.get(number, 0) >= end for number, (first, end) in log.bounds.items() if end > first)

    with consuming(service) as consumer:
        began = time.monotonic()
        while not at_end():
            assert time.monotonic() < began + seconds, (
                consumer.error,
                consumer.totals,
                service.warehouse.rows(sql).data,
                log.bounds,
            )
            time.sleep(0.02)
        return time.monotonic() - began


def prove_service(fault: str, service: Service, tries: int, seconds: float, log: TopicLog | None = None) -> Findings:
    findings = prove(log or read_log(service.settings), service.warehouse)
    record(fault, tries, findings, seconds)
    assert findings.problems == [], (fault, findings)
    assert findings.stored
    return findings
