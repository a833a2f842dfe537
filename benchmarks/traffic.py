"""Measure the service under the traffic of a shop: requests a second, latencies, and the time until an event is visible.

    .venv/bin/python -m benchmarks.traffic [--folder data] [--quick]

Loads the year of `make demo` into an empty folder, or uses that of `--folder`, serves it, and lets vegeta send requests
at fixed rates (an open loop: a slow answer delays no later request). 40 % also_bought, 25 % for_you, 10 % trending,
10 % bought_together with two items, 5 % each popular, recently_viewed and buy_again; items by Zipf's law with exponent
0.9, users uniformly. Posts of ten events go beside them. Everything runs on this machine, the load as well. Writes
traffic.md and traffic.svg.
"""

from __future__ import annotations

import argparse
import base64
import bisect
import http.client
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from alsobought.console import out
from benchmarks.first_light import Service
from tests.support.process import free_port

HERE = Path(__file__).resolve().parent
VEGETA = HERE.parent / ".venv" / "bin" / "vegeta"
EVENTS_OF_A_POST, EVENTS_PER_SECOND = 10, 500
CONNECTIONS = 64
CLOSED_TARGETS = 20_000
P99_LIMIT = 65.0  # milliseconds
MIX = [
    (40, "also_bought"),
    (25, "for_you"),
    (10, "trending"),
    (10, "bought_together"),
    (5, "popular"),
    (5, "recently_viewed"),
    (5, "buy_again"),
]
EVENT_TYPES = ["view", "view", "view", "purchase", "add_to_cart"]


@dataclass(frozen=True)
class Result:
    """What vegeta measured; milliseconds, requests a second, and seconds of the service's CPU for each second."""

    name: str
    offered: float
    answered: float
    p50: float
    p95: float
    p99: float
    worst: float
    errors: str
    cpu: float

    def holds(self, p99: float) -> bool:
        return self.p99 <= p99 and self.errors == "none"

    def row(self) -> str:
        times = " | ".join(f"{value:,.1f}" for value in (self.p50, self.p95, self.p99, self.worst))
        return (
            f"| {self.name} | {self.offered:,.0f} | {self.answered:,.0f} | {times} | {self.errors} | {self.cpu:.2f} |"
        )


class HasPort(Protocol):
    port: int


class Shop:
    """Requests and posts with the names of the year, drawn at random."""

    def __init__(self, url: str, items: list[str], users: list[str], seed: int) -> None:
        self.url, self.items, self.users, self.random = url, items, users, random.Random(seed)
        self._weights = list(itertools.accumulate(1 / rank**0.9 for rank in range(1, len(items) + 1)))

    def item(self) -> str:
        return self.items[bisect.bisect(self._weights, self.random.random() * self._weights[-1])]

    def user(self) -> str:
        return self.random.choice(self.users)

    def ask(self) -> dict[str, Any]:
        pipe = self.random.choices([name for _, name in MIX], [weight for weight, _ in MIX])[0]
        if pipe == "also_bought":
            return self.get(f"/pipes/{pipe}?item_id={self.item()}")
        if pipe == "bought_together":
            return self.get(f"/pipes/{pipe}?item_id={self.item()}&item_id={self.item()}")
        return self.get(f"/pipes/{pipe}" + (f"?user_id={self.user()}" if pipe not in ("trending", "popular") else ""))

    def get(self, path: str) -> dict[str, Any]:
        return {"method": "GET", "url": self.url + path}

    def post(self, events: int) -> dict[str, Any]:
        text = base64.b64encode(json.dumps(self.events(events)).encode()).decode()
        return {"method": "POST", "url": f"{self.url}/events", "body": text}

    def events(self, number: int) -> list[dict[str, str]]:
        """Events of one visit."""
        visit = uuid.UUID(int=self.random.getrandbits(128)).hex
        common = {"user_id": self.user(), "session_id": visit, "order_id": visit}
        return [
            {**common, "event_type": self.random.choice(EVENT_TYPES), "item_id": self.item()} for _ in range(number)
        ]

    def traffic(self, rate: float, events: float) -> Iterator[dict[str, Any]]:
        """Requests at this rate mixed with posts that bring so many events a second."""
        posts = events / EVENTS_OF_A_POST
        while True:
            is_post = self.random.random() < posts / (rate + posts)
            yield self.post(EVENTS_OF_A_POST) if is_post else self.ask()


def attack(
    name: str, targets: Iterator[dict[str, Any]], rate: float, seconds: float, cpu: Callable[[], float]
) -> Result:
    """Send these requests at a fixed rate."""
    limits = [f"-rate={rate:.0f}", f"-connections={CONNECTIONS}", f"-workers={CONNECTIONS}", "-max-workers=1024"]
    return _vegeta(name, itertools.islice(targets, int(rate * seconds)), limits, seconds, cpu)


def closed_loop(
    targets: dict[str, Any] | Iterator[dict[str, Any]], connections: int, seconds: float, cpu: Callable[[], float]
) -> Result:
    """Send a request, or up to CLOSED_TARGETS of them again and again, over each connection as soon as the last is answered."""
    several = [targets] if isinstance(targets, dict) else itertools.islice(targets, CLOSED_TARGETS)
    limits = ["-rate=0", *(f"-{name}={connections}" for name in ("connections", "workers", "max-workers"))]
    return _vegeta(f"{connections} connections", several, limits, seconds, cpu)


def _vegeta(
    name: str, targets: Iterable[dict[str, Any]], limits: list[str], seconds: float, cpu: Callable[[], float]
) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "targets.json")
        with path.open("w") as file:
            for target in targets:
                file.write(json.dumps(target) + "\n")
        command = [str(VEGETA), "attack", "-format=json", f"-targets={path}", "-timeout=10s", *limits]
        before, started = cpu(), time.perf_counter()
        sent = subprocess.run([*command, f"-duration={seconds:.0f}s"], capture_output=True, check=True)
        used = (cpu() - before) / (time.perf_counter() - started)
        report = subprocess.run([VEGETA, "report", "-type=json"], input=sent.stdout, capture_output=True, check=True)
    found = json.loads(report.stdout)
    times = {key: value / 1e6 for key, value in found["latencies"].items()}
    failed = {code: count for code, count in found["status_codes"].items() if not code.startswith("2")}
    errors = (
        ", ".join(f"{count:,} of {'no answer' if code == '0' else code}" for code, count in failed.items()) or "none"
    )
    offered = found["requests"] / (found["duration"] / 1e9)
    result = Result(
        name, offered, found["throughput"], times["50th"], times["95th"], times["99th"], times["max"], errors, used
    )
    out.print(result.row())
    return result


def cpu_of(pid: int) -> Callable[[], float]:
    """Seconds of CPU that a process and its children have used."""

    def read() -> float:
        ticks = 0
        for process in [pid, *children(pid)]:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    return read


def memory_of(pid: int) -> float:
    """Megabytes that a process and its children occupy."""
    lines = [Path(f"/proc/{process}/status").read_text() for process in [pid, *children(pid)]]
    return sum(int(text.split("VmRSS:")[1].split()[0]) for text in lines) / 1024


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def empty_route() -> Iterator[tuple[str, Callable[[], float]]]:
    """The address of an empty Flask route, and the CPU time of its process."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.empty", str(port)], cwd=HERE.parent)
    try:
        while True:
            try:
                http.client.HTTPConnection("127.0.0.1", port, timeout=5).request("GET", "/")
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", cpu_of(process.pid)
    finally:
        process.terminate()
        process.wait(30)


NAMES = """
import json, sys
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(Settings(dsn=sys.argv[1]), create=False)
bought = "select dictGet('alsobought.catalogue', 'item_id', item_key) as id from alsobought.item_totals"
bought += " where item_key != 0 group by item_key having sum(orders) > 0 and id != '' order by sum(orders) desc, id limit 30000"
users = "select user_id from alsobought.user_items group by user_id order by user_id"
print(json.dumps([[row[0] for row in warehouse.trusted_rows(sql).data] for sql in (bought, users)]))
"""


def names(folder: str) -> tuple[list[str], list[str]]:
    """Items, the most bought first, and users of a loaded year that no process holds."""
    return names_of(f"chdb://{Path(folder, 'journey')}")


def names_of(dsn: str) -> tuple[list[str], list[str]]:
    """The same of any warehouse."""
    command = [sys.executable, "-c", NAMES, dsn]
    items, users = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=HERE.parent).stdout)
    return items, users


def staleness(service: HasPort, users: list[str], stop: threading.Event, seconds: list[float]) -> None:
    """Post an event again and again and poll until `recently_viewed` has it."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

    def ask(path: str, body: object = None) -> Any:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        return json.loads(connection.getresponse().read())

    for number in itertools.count():
        if stop.wait(0.3):
            return
        item, user = f"probe-{number}-{uuid.uuid4().hex[:6]}", users[number % len(users)]
        ask("/events", {"event_type": "view", "user_id": user, "item_id": item})
        accepted = time.perf_counter()
        while time.perf_counter() - accepted < 20:
            answer = ask(f"/pipes/recently_viewed?user_id={user}&limit=1")
            if any(row["item_id"] == item for row in answer.get("data", [])):
                seconds.append(time.perf_counter() - accepted)
                break
            time.sleep(0.01)


def fastest(measure: Callable[[float], Result], low: float, high: float, limit: float = P99_LIMIT) -> list[Result]:
    """Attacks at rates between these, until the highest rate at which p99 holds is known within 20 %."""
    results = []
    while high > low * 1.2:
        rate = (low * high) ** 0.5
        results.append(measure(rate))
        holds = results[-1].holds(limit)
        low, high = (rate, high) if holds else (low, rate)
    return sorted(results, key=lambda result: result.offered)


def measure(folder: str, seconds: float) -> dict[str, Any]:
    Service(folder).stop()  # loads the year if it is not there
    items, users = names(folder)
    service = Service(folder)
    try:
        url = f"http://127.0.0.1:{service.port}"
        cpu = cpu_of(service.process.pid)
        table: list[Result] = []
        header = "| | offered/s | answered/s | p50 ms | p95 | p99 | max | errors | cores |\n|---|---|---|---|---|---|---|---|---|"
        out.print(header)

        def run(name: str, targets: Iterator[dict[str, Any]], rate: float, length: float = seconds) -> Result:
            table.append(attack(name, targets, rate, length, cpu))
            return table[-1]

        with empty_route() as (empty_url, empty_cpu):
            repeated = itertools.repeat({"method": "GET", "url": f"{empty_url}/"})
            table.append(attack("an empty Flask route", repeated, 800, seconds, empty_cpu))
        shop = Shop(url, items, users, 1)
        service.request(f"/pipes/also_bought?item_id={items[0]}")
        cached = itertools.repeat(shop.get(f"/pipes/also_bought?item_id={items[0]}"))
        run("one cached answer", cached, 800)
        run("posts of one event", iter(lambda: shop.post(1), None), 500)
        run("the mix, nothing cached", Shop(url, items, users, 2).traffic(20, 0), 20)
        run("the mix again", Shop(url, items, users, 3).traffic(20, 0), 20)
        stop, visible = threading.Event(), list[float]()
        probe = threading.Thread(target=staleness, args=(service, users, stop, visible))
        probe.start()
        run(f"the mix with {EVENTS_PER_SECOND} events/s", Shop(url, items, users, 4).traffic(20, EVENTS_PER_SECOND), 70)
        stop.set()
        probe.join()

        def mix(rate: float) -> Result:
            traffic = Shop(url, items, users, int(rate)).traffic(rate, EVENTS_PER_SECOND)
            return attack(
                f"the mix at {rate:,.0f}/s", traffic, rate + EVENTS_PER_SECOND / EVENTS_OF_A_POST, seconds, cpu
            )

        return {
            "header": header,
            "table": table,
            "search": fastest(mix, 20, 1600),
            "visible": sorted(visible),
            "memory": memory_of(service.process.pid),
        }
    finally:
        service.stop()


def svg_figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """A figure and its axes, side by side, for `save`. Equal plots are equal files."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "alsobought"
    from matplotlib import pyplot

    return pyplot.subplots(ncols=columns, figsize=(width, height), sharey=True)


def save(figure: Any, path: Path, top: float = 1) -> None:
    """Writes the SVG, with the axes below this height."""
    figure.tight_layout(rect=(0, 0, 1, top))
    figure.savefig(path, metadata={"Date": None})


def plot(results: list[Result], path: Path) -> None:
    """Latency against the offered rate."""
    figure, axes = svg_figure(7, 3.6)
    rates = [result.offered for result in results]
    for label, times in (
        ("p50", [r.p50 for r in results]),
        ("p95", [r.p95 for r in results]),
        ("p99", [r.p99 for r in results]),
    ):
        axes.plot(rates, times, marker="o", label=label)
    axes.axhline(P99_LIMIT, color="grey", linestyle=":", label=f"{P99_LIMIT:.0f} ms")
    axes.set(xscale="log", yscale="log", xlabel="requests offered a second, with 500 events/s", ylabel="milliseconds")
    axes.legend()
    save(figure, path)


def machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, chDB in the process of the service, vegeta beside it"


def page(found: dict[str, Any]) -> str:
    visible = found["visible"]
    quantile = (
        (lambda q: visible[min(len(visible) - 1, int(q * len(visible)))]) if visible else (lambda _: float("nan"))
    )
    median = statistics.median(visible) if visible else float("nan")
    holding = [r for r in found["search"] if r.holds(P99_LIMIT)]
    best = f"{max(r.offered for r in holding):,.0f}" if holding else "none of the rates tried"
    rows = "\n".join(result.row() for result in found["table"])
    search = "\n".join(result.row() for result in found["search"])
    return f"""# Under the traffic of a shop

Written by `python -m benchmarks.traffic` on {datetime.now(UTC):%Y-%m-%d}: {machine()}.
The year of the Complete Journey is loaded. An open loop: latency counts from the time a request was due.
*cores* is the CPU time of the service for each second.

{found["header"]}
{rows}

From the 202 of an event until `recently_viewed` has it, under the mix with events: {median:.2f} s (p50),
{quantile(0.99):.2f} s (p99), {len(visible)} probes. Memory of the service afterwards: {found["memory"]:,.0f} MB.

The highest rate, requests and posts together, at which p99 stays within {P99_LIMIT:.0f} ms: {best}.

{found["header"]}
{search}

![Latency against the offered rate](traffic.svg)
"""


def arguments(description: str | None, name: str) -> argparse.Namespace:
    """The options --folder and --quick. Exits without vegeta."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="a data folder of `alsobought demo`; by default an empty one")
    parser.add_argument("--quick", action="store_true", help="4 seconds instead of 10 for each row")
    parsed = parser.parse_args()
    if not VEGETA.exists():
        raise SystemExit(f"vegeta is missing: run `make bench BENCH={name}`")
    return parsed


if __name__ == "__main__":
    parsed = arguments(__doc__, "traffic")
    with tempfile.TemporaryDirectory() as temporary:
        measured = measure(parsed.folder or temporary, 4 if parsed.quick else 10)
    plot(measured["search"], HERE / "traffic.svg")
    (HERE / "traffic.md").write_text(page(measured))
