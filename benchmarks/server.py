"""Measure the production path: Kafka → `alsobought ingest` → a ClickHouse server → `alsobought serve --workers 1, 2, 4`.

    .venv/bin/python -m benchmarks.server [--folder FOLDER] [--quick] [--seconds 10]

Everything runs on this machine: the server (tests/support/clickhouse_server.py), the broker of the tests, both commands, and
vegeta. The data is the year of `make demo`, with --quick the last eighth of it; `--folder` keeps it for the next run. The traffic
is that of benchmarks/traffic.py, whose table of the embedded engine stands beside. Writes server.md.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alsobought.console import out
from alsobought.demo import journey
from alsobought.loading.submitter import Submitter
from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.writer.submission import Submission, utc_now
from benchmarks.traffic import (
    EVENTS_OF_A_POST,
    EVENTS_PER_SECOND,
    P99_LIMIT,
    VEGETA,
    Result,
    Shop,
    attack,
    cpu_of,
    empty_route,
    fastest,
    memory_of,
    names_of,
    staleness,
)
from tests.support.brokers import broker
from tests.support.clickhouse_server import clickhouse_server
from tests.support.engines import migrate
from tests.support.process import free_port

HERE = Path(__file__).resolve().parent
WORKERS = (1, 2, 4)
QUICK_SHARE = 8
QUIET_SECONDS, SETTLE_SECONDS = 10.0, 3.0
COLUMNS = " | workers | offered/s | answered/s | p50 ms | p95 | p99 | max | errors | cores | HTTP | ClickHouse | ingest | Kafka"
HEADER = f"|{COLUMNS} | CPU ms each |\n{'|---' * 15}|"
Cores = dict[str, float]


@dataclass
class Clocks:
    """CPU time of each part, read together: called before and after each measurement."""

    parts: Mapping[str, Callable[[], float]]
    readings: list[Cores] = field(default_factory=list)

    def __call__(self) -> float:
        self.readings.append({name: read() for name, read in self.parts.items()})
        return sum(self.readings[-1].values())

    def cores(self, total: float) -> Cores:
        """The part of each in the last measurement, which used `total` cores."""
        before, after = self.readings[-2:]
        used = {name: after[name] - before[name] for name in after}
        return {name: total * seconds / (sum(used.values()) or 1) for name, seconds in used.items()}


def each(cells: list[str]) -> str:
    """The CPU milliseconds of an answer, by the cells of a row of traffic.md without its name."""
    answered, cores = float(cells[1].replace(",", "")), float(cells[-1])
    return f"{1000 * cores / answered:.1f}" if answered else ""


@dataclass(frozen=True)
class Row:
    """A result, who gave it, and the cores of each part; empty for a process alone."""

    result: Result
    workers: str
    cores: Cores = field(default_factory=dict)

    def text(self, *, name: str = "") -> str:
        cells = self.result.row().strip("| ").split(" | ")[1:]
        parts = [f"{self.cores[part]:.2f}" if self.cores else "" for part in ("HTTP", "ClickHouse", "ingest", "Kafka")]
        return "| " + " | ".join([name or self.result.name, self.workers, *cells, *parts, each(cells)]) + " |"


@dataclass
class Served:
    """`alsobought serve` on the server. What is measured with it has the CPU time of all parts."""

    port: int
    process: subprocess.Popen[bytes]
    clocks: Clocks
    workers: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: object = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
            return connection.getresponse().status
        finally:
            connection.close()

    def attack(self, name: str, targets: Iterator[dict[str, Any]], rate: float, seconds: float) -> Row:
        """Send requests at this rate, once all earlier events are visible."""
        self.await_ingest()
        result = attack(name, targets, rate, seconds, self.clocks)
        row = Row(result, str(self.workers), self.clocks.cores(result.cpu))
        out.print("    " + ", ".join(f"{part} {cores:.2f}" for part, cores in row.cores.items()))
        return row

    def await_ingest(self) -> None:
        while self.ask("/events?wait=true", {"event_type": "view", "user_id": "bench", "item_id": "bench"}) != 200:
            time.sleep(0.5)


def load(dsn: str, share: int) -> dict[str, float]:
    """Migrate the server and load the end of the year: this share of its events."""
    settings = Settings(dsn=dsn)
    migrate(settings)
    service = open_service(settings)
    total, size, weeks = journey.size(), settings.batch_rows, journey.weeks_until(utc_now().date())
    began, own = time.perf_counter(), time.process_time()
    service.writer.submit(Submission(list(journey.items()))).result()
    submitter = Submitter(service.writer)
    for start in range(total - total // share, total, size):
        rows = journey.events(weeks, start, size)
        submitter.send(Submission(rows, "journey", range(start, start + len(rows))))
    submitter.finish()
    while service.do("refresh serving tables", 10.0):
        pass
    service.close()
    return {
        "events": total // share,
        "seconds": time.perf_counter() - began,
        "loader": time.process_time() - own,
    }


@contextmanager
def command(environ: Mapping[str, str], *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "alsobought", *words], env=dict(environ), cwd=HERE.parent)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def serve(environ: Mapping[str, str], workers: int, parts: Mapping[str, Callable[[], float]]) -> Iterator[Served]:
    """The service, once every worker is ready."""
    port = free_port()
    with command({**environ, "ALSOBOUGHT_PORT": str(port)}, "serve", "--workers", str(workers)) as process:
        served = Served(port, process, Clocks({**parts, "HTTP": cpu_of(process.pid)}), workers)
        while True:
            try:
                if served.ask("/readyz") == 200:
                    break
            except OSError:
                time.sleep(0.1)
        served.await_ingest()
        time.sleep(SETTLE_SECONDS)
        yield served


def measure_served(served: Served, items: list[str], users: list[str], seconds: float) -> dict[str, Any]:
    """The rows of traffic.md, the search for the highest rate, and the seconds until events are visible."""
    url, rows = served.url, list[Row]()

    def run(name: str, targets: Iterator[dict[str, Any]], rate: float) -> None:
        rows.append(served.attack(name, targets, rate, seconds))

    quiet = visible_during(served, users, lambda: time.sleep(QUIET_SECONDS))
    shop = Shop(url, items, users, 1)
    served.ask(f"/pipes/also_bought?item_id={items[0]}")
    run("one cached answer", itertools.repeat(shop.get(f"/pipes/also_bought?item_id={items[0]}")), 800)
    run("posts of one event", iter(lambda: shop.post(1), None), 500)
    run("the mix, nothing cached", Shop(url, items, users, 2).traffic(20, 0), 20)
    run("the mix again", Shop(url, items, users, 3).traffic(20, 0), 20)
    mixed = Shop(url, items, users, 4).traffic(20, EVENTS_PER_SECOND)
    busy = visible_during(served, users, lambda: run(f"the mix with {EVENTS_PER_SECOND} events/s", mixed, 70))
    search: list[Row] = []

    def mix(rate: float) -> Result:
        traffic = Shop(url, items, users, int(rate)).traffic(rate, EVENTS_PER_SECOND)
        search.append(
            served.attack(f"the mix at {rate:,.0f}/s", traffic, rate + EVENTS_PER_SECOND / EVENTS_OF_A_POST, seconds)
        )
        return search[-1].result

    fastest(mix, 2, 1600)
    memory = memory_of(served.process.pid)
    return {"rows": rows, "search": search, "quiet": quiet, "busy": busy, "memory": memory}


def visible_during(served: Served, users: list[str], action: Callable[[], None]) -> list[float]:
    """Run this, and post events meanwhile: the seconds until each is visible."""
    stop, seconds = threading.Event(), list[float]()
    probe = threading.Thread(target=staleness, args=(served, users, stop, seconds))
    probe.start()
    action()
    stop.set()
    probe.join()
    return sorted(seconds)


def measure(folder: Path, share: int, seconds: float) -> dict[str, Any]:
    busy = os.getloadavg()[1]
    with ExitStack() as stack:
        server = stack.enter_context(clickhouse_server(folder / "clickhouse"))
        clickhouse = cpu_of(server.pid)
        record = folder / "load.json"
        if not record.exists():
            before = clickhouse()
            loaded = load(server.dsn, share)
            record.write_text(json.dumps({**loaded, "clickhouse": clickhouse() - before}))
        loaded = json.loads(record.read_text())
        out.print(loaded)
        items, users = names_of(server.dsn)
        kafka = stack.enter_context(broker(ours=True))
        environ = {**os.environ, "ALSOBOUGHT_DSN": server.dsn, "ALSOBOUGHT_KAFKA": kafka.address}
        ingest = stack.enter_context(command(environ, "ingest"))
        parts = {"ClickHouse": clickhouse, "ingest": cpu_of(ingest.pid), "Kafka": cpu_of(kafka.pid)}
        with empty_route() as (url, cpu):
            repeated = itertools.repeat({"method": "GET", "url": f"{url}/"})
            empty = Row(attack("an empty Flask route", repeated, 800, seconds, cpu), "")
        measured = {}
        for workers in WORKERS:
            out.print(f"{workers} workers")
            with serve(environ, workers, parts) as served:
                measured[workers] = measure_served(served, items, users, seconds)
        return {
            "busy": busy,
            "loaded": loaded,
            "empty": empty,
            "measured": measured,
            "memory": {"ClickHouse": memory_of(server.pid), "ingest": memory_of(ingest.pid)},
        }


def embedded_rows() -> tuple[str, dict[str, str], str]:
    """The date of traffic.md, its rows by name as rows of this page, and its highest rate."""
    text = (HERE / "traffic.md").read_text()
    table = text.split("The highest rate")[0]
    rows = {}
    for line in table.splitlines():
        name, *cells = line.strip("| ").split(" | ")
        if len(cells) == 8 and cells[0][:1].isdigit():
            rows[name] = "| " + " | ".join([name, "embedded", *cells, *[""] * 4, each(cells)]) + " |"
    date = text.split(" on ")[1][:10]
    rate = text.split(f"stays within {P99_LIMIT:.0f} ms: ")[1].split(".\n")[0]
    return date, rows, rate


def best_rate(search: list[Row]) -> str:
    holding = [row.result.offered for row in search if row.result.p99 <= P99_LIMIT and row.result.errors == "none"]
    return f"{max(holding):,.0f}" if holding else "none tried"


def quantiles(seconds: list[float]) -> str:
    if not seconds:
        return "none | none"
    return f"{statistics.median(seconds):.2f} | {seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))]:.2f}"


def page(found: dict[str, Any], share: int) -> str:
    date, embedded, embedded_rate = embedded_rows()
    loaded, measured = found["loaded"], found["measured"]
    lines = [found["empty"].text()]
    for index, first in enumerate(measured[WORKERS[0]]["rows"]):
        name = first.result.name
        lines += [embedded[name]] if name in embedded else []
        lines += [measured[workers]["rows"][index].text() for workers in WORKERS]
    searched = [
        row.text()
        for workers in WORKERS
        for row in sorted(measured[workers]["search"], key=lambda row: row.result.offered)
    ]
    rates = "\n".join(
        f"| {workers} | {best_rate(results['search'])} | {quantiles(results['quiet'])} | {quantiles(results['busy'])}"
        f" | {results['memory']:,.0f} |"
        for workers, results in measured.items()
    )
    data = "The year" if share == 1 else f"1/{share} of the year"
    rows, searches = "\n".join(lines), "\n".join(searched)
    machine = f"{datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, Python {platform.python_version()}"
    loading = f"{loaded['events']:,.0f} purchases in **{loaded['seconds']:.0f} s**, with {loaded['clickhouse']:.0f} s of CPU in"
    return f"""# On a ClickHouse server

Written by `python -m benchmarks.server` on {machine}.
All on this machine: vegeta → `alsobought serve --workers N` → Kafka → `alsobought ingest` → a ClickHouse server, the one of the
package chdb. {data} of the Complete Journey is loaded. The traffic is that of [traffic.md](traffic.md); its rows of {date}
stand here as *embedded*. There *cores* is one process with the database in it, here all four parts, which the last columns show
apart. The load of the machine before the start was {found["busy"]:.1f}: with one above 1, compare the last column, the CPU time of
all parts for each answer or post, rather than the times.

Loaded into the server: {loading}
ClickHouse and {loaded["loader"]:.0f} s in the loader.

{HEADER}
{rows}

The highest rate, requests and posts together, at which p99 stays within {P99_LIMIT:.0f} ms, and the time from the 202 of an
event until `recently_viewed` has it, alone and under the mix with {EVENTS_PER_SECOND} events/s:

| workers | requests/s | visible, s p50 | p99 | under the mix, s p50 | p99 | memory of HTTP, MB |
|---|---|---|---|---|---|---|
| embedded | {embedded_rate} | | | | | |
{rates}

Memory at the end: ClickHouse {found["memory"]["ClickHouse"]:,.0f} MB, ingest {found["memory"]["ingest"]:,.0f} MB.

{HEADER}
{searches}
"""


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--folder", type=Path, help="keeps the loaded server for the next run; by default an empty one"
    )
    arguments.add_argument("--quick", action="store_true", help="an eighth of the year, and 4 seconds for each row")
    arguments.add_argument("--seconds", type=float, help="for each row, instead of 10")
    parsed = arguments.parse_args()
    if not VEGETA.exists():
        raise SystemExit("vegeta is missing: run `make bench-server`")
    with tempfile.TemporaryDirectory() as temporary:
        chosen = parsed.folder or Path(temporary)
        chosen.mkdir(parents=True, exist_ok=True)
        part = QUICK_SHARE if parsed.quick else 1
        results = measure(chosen, part, parsed.seconds or (4 if parsed.quick else 10))
    (HERE / "server.md").write_text(page(results, part))
