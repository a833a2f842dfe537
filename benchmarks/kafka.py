"""Measure the throughput from Kafka through all views against direct inserts, and the time until an event is visible.

    .venv/bin/python -m benchmarks.kafka

A broker of its own and an embedded warehouse on disk, all on this machine. Mixed: 65 % view, 15 % click,
13 % add_to_cart, 7 % purchase, in sessions of 10. Then purchases only. The ceiling is the same rows as JSON lines, inserted
into an empty database in the same batches, without Kafka and without deduplication. Then a service is polled for an event
from the moment Kafka has it, while other events are sent.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from confluent_kafka import Producer

from alsobought.console import out
from alsobought.kafka.consumer import TopicConsumer
from alsobought.migrations import runner
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from tests.support.brokers import Broker, broker
from tests.support.kafka import Topics, until
from tests.support.process import running, serving

MIXED = {"view": 65, "click": 15, "add_to_cart": 13, "purchase": 7}
ITEMS, SESSION_EVENTS, ORDER_LINES = 20_000, 10, 3
BACKGROUND_EVENTS_PER_SECOND, PROBES, WARM_UP_PROBES = 500, 110, 10


def events(number: int, weights: dict[str, int], prefix: str = "") -> Iterator[bytes]:
    """Events of a shop, with a skewed distribution of items. `prefix` is that of their ids."""
    rng = random.Random(7)
    event_types = rng.choices(list(weights), list(weights.values()), k=number)
    user = session = ""
    for n, event_type in enumerate(event_types):
        if n % SESSION_EVENTS == 0:
            user, session = f"u{rng.randrange(number // 50)}", f"s{n}"
        event: dict[str, Any] = {
            "event_id": f"{prefix}{n}",
            "event_type": event_type,
            "user_id": user,
            "session_id": session,
            "item_id": f"i{int(ITEMS * rng.random() ** 2)}",
            "category": f"c{rng.randrange(40)}",
            "timestamp": f"2026-01-{1 + n * 28 // number:02d}T12:{n % 60:02d}:00Z",
        }
        if event_type == "purchase":
            order = f"o{n // (ORDER_LINES if len(weights) == 1 else SESSION_EVENTS)}"
            event |= {"order_id": order, "price": 4.5, "quantity": 1}
        yield msgspec.json.encode(event)


def kafka_rate(service: Service, number: int) -> float:
    """Events per second, from the first message to the last stored one."""
    consumer = TopicConsumer(service.writer, service.settings)
    started = time.monotonic()
    consumer.start()
    until(lambda: consumer.totals.stored >= number, 600, 0.01)
    seconds = time.monotonic() - started
    consumer.stop()
    return number / seconds


def direct_rate(service: Service) -> float:
    """Events per second of the same rows in the same batches, inserted directly into an empty database."""
    full, empty = service.warehouse, service.warehouse.another()
    empty.database = "ceiling"
    empty.command("create database ceiling")
    list(runner.up(empty, service.settings.home_folder / "migrations"))
    seconds, rows = 0.0, 0
    sql = f"select batch, count() from {full.database}.events group by batch order by batch"
    for batch, count in full.trusted_rows(sql).data:
        lines = full.trusted_raw(f"select * from {full.database}.events where batch = {batch}", None, "JSONEachRow")
        started = time.monotonic()
        empty.insert("events", lines, f"batch {batch}")
        seconds += time.monotonic() - started
        rows += count
    empty.close()
    return rows / seconds


def visibility_seconds(kafka: Broker) -> list[float]:
    """Seconds from the moment that Kafka has an event until `recently_viewed` returns it."""
    topics = Topics(kafka)
    topics.create()
    stop = threading.Event()

    producer = Producer({"bootstrap.servers": kafka.address, "acks": "all", "linger.ms": 0})

    def send_background() -> None:
        for second in itertools.count():
            topics.send(*events(BACKGROUND_EVENTS_PER_SECOND, MIXED, f"{second}-"))
            if stop.wait(0.5):  # sending takes the other half of a second
                return

    with TemporaryDirectory() as folder, serving(running(Path(folder) / "data", **topics.environment)) as service:
        sender = threading.Thread(target=send_background)
        sender.start()
        times = []
        for n in range(PROBES):
            probe = {"event_type": "view", "user_id": f"probe{n}", "item_id": "probe"}
            producer.produce(topics.settings["events_topic"], msgspec.json.encode(probe), key=f"probe{n}")
            while len(producer):
                producer.poll(0.001)
            path = f"/pipes/recently_viewed?user_id=probe{n}"
            times.append(until(lambda path=path: bool(service.ask(path)[1]["data"]), every=0.005))  # type: ignore[misc]
        stop.set()
        sender.join()
        service.stop()
    return times[WARM_UP_PROBES:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    number = parser.parse_args().events
    lines = ["| | from Kafka, events/s | directly | ratio |", "|---|---|---|---|"]
    with broker() as kafka:
        for name, weights, count in (("mixed", MIXED, number), ("purchases only", {"purchase": 1}, number // 3)):
            topics = Topics(kafka)
            topics.create()
            topics.send(*events(count, weights))
            with TemporaryDirectory() as folder:
                service = open_service(Settings(data=folder, **topics.settings))  # type: ignore[arg-type]
                rate, ceiling = kafka_rate(service, count), direct_rate(service)
                service.close()
            lines.append(f"| {name}, {count:,} | **{rate:,.0f}** | {ceiling:,.0f} | {rate / ceiling:.0%} |")
            out.print(lines[-1])
        times = quantiles(visibility_seconds(kafka), n=100)
    lines += [
        "",
        f"An event that Kafka has is visible after {times[49]:.2f} s at the median and {times[98]:.2f} s at the 99th",
        f"percentile, while about {BACKGROUND_EVENTS_PER_SECOND:,} events per second arrive.",
    ]
    out.print("\n".join(lines[-2:]))
    heading = f"`python -m benchmarks.kafka`, {date.today()}, {os.cpu_count()} cores, {kafka.kind} on the same machine, all views."
    (Path(__file__).parent / "kafka.md").write_text("\n".join(["# From Kafka", "", heading, "", *lines]) + "\n")


if __name__ == "__main__":
    main()
