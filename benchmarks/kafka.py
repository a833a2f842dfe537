"""How fast events come from Kafka through all views, next to the same rows inserted directly; and how soon one is visible.

    .venv/bin/python -m benchmarks.kafka

A broker of its own, an embedded warehouse on disk, everything on this machine. Mixed: 65 % view, 15 % click, 13 % add_to_cart,
7 % purchase, in sessions of 10. Then purchases only. The ceiling is the same rows as JSON lines, inserted into an empty
database in batches as large as the reader's, without Kafka and without looking for repeats. Then a service is asked for an event
again and again from the moment Kafka has it, while others flow.
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
ITEMS, SESSION, ORDER = 20_000, 10, 3
FLOW, PROBES = 500, 110


def events(number: int, kinds: dict[str, int], name: str = "") -> Iterator[bytes]:
    """Events as a shop sends them; popular items are asked for more often. `name` makes their ids others."""
    rng = random.Random(7)
    kind_of = rng.choices(list(kinds), list(kinds.values()), k=number)
    user = session = ""
    for n, kind in enumerate(kind_of):
        if n % SESSION == 0:
            user, session = f"u{rng.randrange(number // 50)}", f"s{n}"
        event: dict[str, Any] = {
            "event_id": f"{name}{n}",
            "event_type": kind,
            "user_id": user,
            "session_id": session,
            "item_id": f"i{int(ITEMS * rng.random() ** 2)}",
            "category": f"c{rng.randrange(40)}",
            "timestamp": f"2026-01-{1 + n * 28 // number:02d}T12:{n % 60:02d}:00Z",
        }
        if kind == "purchase":
            order = f"o{n // (ORDER if len(kinds) == 1 else SESSION)}"
            event |= {"order_id": order, "price": 4.5, "quantity": 1}
        yield msgspec.json.encode(event)


def from_kafka(shop: Service, number: int) -> float:
    """Events a second, from the first message to the last one noted."""
    consumer = TopicConsumer(shop.writer, shop.settings)
    began = time.monotonic()
    consumer.start()
    until(lambda: consumer.totals.stored >= number, 600, 0.01)
    seconds = time.monotonic() - began
    consumer.stop()
    return number / seconds


def directly(shop: Service) -> float:
    """Events a second of the same rows in the same batches, into an empty database beside."""
    full, empty = shop.warehouse, shop.warehouse.another()
    empty.database = "ceiling"
    empty.command("create database ceiling")
    list(runner.up(empty, shop.settings.home_folder / "migrations"))
    seconds, rows = 0.0, 0
    sql = f"select batch, count() from {full.database}.events group by batch order by batch"
    for batch, count in full.trusted_rows(sql).data:
        lines = full.trusted_raw(f"select * from {full.database}.events where batch = {batch}", None, "JSONEachRow")
        began = time.monotonic()
        empty.insert("events", lines, f"batch {batch}")
        seconds += time.monotonic() - began
        rows += count
    empty.close()
    return rows / seconds


def seen(kafka: Broker) -> list[float]:
    """Seconds until `recently_viewed` shows an event, from the moment that Kafka has it."""
    topics = Topics(kafka)
    topics.create()
    stop = threading.Event()

    producer = Producer({"bootstrap.servers": kafka.address, "acks": "all", "linger.ms": 0})

    def flow() -> None:
        for second in itertools.count():
            topics.send(*events(FLOW, MIXED, f"{second}-"))
            if stop.wait(0.5):  # the other half of a second went into sending
                return

    with TemporaryDirectory() as folder, serving(running(Path(folder) / "data", **topics.environment)) as service:
        flowing = threading.Thread(target=flow)
        flowing.start()
        times = []
        for n in range(PROBES):
            probe = {"event_type": "view", "user_id": f"probe{n}", "item_id": "probe"}
            producer.produce(topics.settings["events_topic"], msgspec.json.encode(probe), key=f"probe{n}")
            while len(producer):
                producer.poll(0.001)
            path = f"/pipes/recently_viewed?user_id=probe{n}"
            times.append(until(lambda path=path: bool(service.ask(path)[1]["data"]), every=0.005))  # type: ignore[misc]
        stop.set()
        flowing.join()
        service.stop()
    return times[10:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    number = parser.parse_args().events
    lines = ["| | from Kafka, events/s | directly | of it |", "|---|---|---|---|"]
    with broker() as kafka:
        for name, kinds, count in (("mixed", MIXED, number), ("purchases only", {"purchase": 1}, number // 3)):
            topics = Topics(kafka)
            topics.create()
            topics.send(*events(count, kinds))
            with TemporaryDirectory() as folder:
                shop = open_service(Settings(data=folder, **topics.settings))  # type: ignore[arg-type]
                rate, ceiling = from_kafka(shop, count), directly(shop)
                shop.close()
            lines.append(f"| {name}, {count:,} | **{rate:,.0f}** | {ceiling:,.0f} | {rate / ceiling:.0%} |")
            out.print(lines[-1])
        times = quantiles(seen(kafka), n=100)
    lines += [
        "",
        f"An event that Kafka has is visible after {times[49]:.2f} s at the median and {times[98]:.2f} s at the 99th",
        f"percentile, while about {FLOW:,} events a second flow in.",
    ]
    out.print("\n".join(lines[-2:]))
    head = f"`python -m benchmarks.kafka`, {date.today()}, {os.cpu_count()} cores, {kafka.kind} on the same machine, all views."
    (Path(__file__).parent / "kafka.md").write_text("\n".join(["# From Kafka", "", head, "", *lines]) + "\n")


if __name__ == "__main__":
    main()
