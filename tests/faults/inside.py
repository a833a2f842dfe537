"""A shop of the test's own process that reads Kafka, and its proof: for faults that need its clock or its tables."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought.kafka.consumer import Stream
from alsobought.service.service import Service
from tests.faults.mixed import Message
from tests.faults.proof import Found, Log, proof, read_log
from tests.faults.rig import record
from tests.support.kafka import Topics, until


def sent(topics: Topics, stream: Iterator[Message], count: int) -> int:
    """So many messages more of the stream."""
    topics.send(*itertools.islice(stream, count))
    return count


@contextmanager
def reading(shop: Service, messages: int = 0, seconds: float = 30.0) -> Iterator[Stream]:
    """A stream that is left once it noted so many messages as read."""
    stream = Stream(shop.writer, shop.settings)
    stream.start()
    try:
        yield stream
        if messages:
            until(lambda: stream.done.messages >= messages, seconds)
    finally:
        stream.stop()


def read_all(shop: Service, seconds: float = 30.0) -> float:
    """Lets a new stream read until what the topic holds now is noted as read; the seconds it took."""
    log = read_log(shop.settings)
    sql = f"select partition, max(next_offset) from {shop.settings.database}.ingest_ranges"
    sql += f" where source = '{log.source}' group by partition"

    def done() -> bool:
        noted = dict(shop.warehouse.rows(sql).data)
        return all(noted.get(number, 0) >= end for number, (first, end) in log.bounds.items() if end > first)

    with reading(shop) as one:
        began = time.monotonic()
        while not done():
            assert time.monotonic() < began + seconds, (
                one.trouble,
                one.done,
                shop.warehouse.rows(sql).data,
                log.bounds,
            )
            time.sleep(0.02)
        return time.monotonic() - began


def prove(fault: str, shop: Service, tries: int, seconds: float, log: Log | None = None) -> Found:
    found = proof(log or read_log(shop.settings), shop.warehouse)
    record(fault, tries, found, seconds)
    assert found.wrong == [], (fault, found)
    assert found.stored
    return found
