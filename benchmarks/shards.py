"""Measure one ClickHouse server against two shards: events stored, CPU time of each part, and answers over all shards.

    .venv/bin/python -m benchmarks.shards [--events 200000]

The servers are those of the tests (tests/support/clickhouse_server.py), all on this machine: so two shards have no more cores than
one server, and the CPU time of an event says what more machines would bring. The events are the mixed ones of benchmarks/kafka.py,
in batches of 10,000; then the answers of some pipes, each the median of ten keys, computed one at a time. Writes shards.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from alsobought.console import out
from alsobought.events import Event
from alsobought.loading.submitter import Submitter
from alsobought.service.maintenance import run_task
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import answer
from alsobought.settings import Settings
from alsobought.writer.submission import Submission
from benchmarks.kafka import MIXED, events
from benchmarks.traffic import cpu_of
from tests.support.clickhouse_server import ClickHouseServer, clickhouse_server
from tests.support.engines import migrate
from tests.support.shards import cluster_settings, migrated_shards

HERE = Path(__file__).resolve().parent
BATCH = 10_000
KEYS = 10
PIPES = {"popular": "", "trending": "", "also_bought": "item_id", "bought_together": "item_id", "for_you": "user_id"}
HEADER = """# One server and two shards

Written by [benchmarks/shards.py](shards.py) on a machine with {cores} cores, which the writer and all servers share.
{count:,} mixed events in batches of {batch:,}.

| | events/s | CPU µs an event: router and writers | each server | answers, ms |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Measured:
    """Of one form: events a second, CPU microseconds an event of Python and of each server, and milliseconds an answer."""

    name: str
    rate: float
    python: float
    servers: list[float]
    answers: dict[str, float]

    def row(self) -> str:
        servers = ", ".join(f"{server:.0f}" for server in self.servers)
        answers = ", ".join(f"{name} {milliseconds:.0f}" for name, milliseconds in self.answers.items())
        return f"| {self.name} | {self.rate:,.0f} | {self.python:.1f} | {servers} | {answers} |"


def measure(name: str, settings: Settings, servers: Sequence[ClickHouseServer], rows: list[Event]) -> Measured:
    shop = open_service(settings)
    try:
        clocks = [cpu_of(server.pid) for server in servers]
        started, python, before = time.perf_counter(), time.process_time(), [clock() for clock in clocks]
        submitter = Submitter(shop.writer)
        for first in range(0, len(rows), BATCH):
            submitter.send(Submission(rows[first : first + BATCH]))
        submitter.finish()
        seconds = time.perf_counter() - started
        python = time.process_time() - python
        servers_cpu = [clock() - one for clock, one in zip(clocks, before, strict=True)]
        while run_task(shop.writer, "refresh serving tables", 5.0):
            pass
        per_event = 1_000_000 / len(rows)
        answers = {pipe: _answer_ms(shop, pipe, key, rows) for pipe, key in PIPES.items()}
        return Measured(
            name, len(rows) / seconds, python * per_event, [cpu * per_event for cpu in servers_cpu], answers
        )
    finally:
        shop.close()


def _answer_ms(shop: Service, pipe: str, key: str, rows: Sequence[Event]) -> float:
    """The median over some keys; the first answer validates the pipe and does not count."""
    times = []
    for row in rows[: KEYS + 1]:
        parameters = {key: [getattr(row, key)]} if key else {}
        started = time.perf_counter()
        answer(shop.library, shop.warehouse, pipe, parameters, shop.clock())
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000)
    count = parser.parse_args().events
    rows = [msgspec.json.decode(body, type=Event) for body in events(count, MIXED)]
    measured = []
    with TemporaryDirectory() as folder, clickhouse_server(Path(folder)) as server:
        settings = Settings(dsn=server.dsn, database="shop")
        migrate(settings)
        measured.append(measure("one server", settings, [server], rows))
        out.print(measured[-1].row(), soft_wrap=True)
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        with migrated_shards(Path(folder) / "data") as servers:
            measured.append(measure("two shards", cluster_settings(servers), servers, rows))
            out.print(measured[-1].row(), soft_wrap=True)
    text = HEADER.format(cores=os.cpu_count(), count=count, batch=BATCH)
    (HERE / "shards.md").write_text(text + "\n".join(one.row() for one in measured) + "\n")


if __name__ == "__main__":
    main()
