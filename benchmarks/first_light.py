"""Measure the load of the year, first and cached answers, and the time until an event is visible.

    .venv/bin/python -m benchmarks.first_light

Starts the demo in an empty folder on a port of its own, measures over HTTP on one connection, and writes first_light.md.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
REQUESTS = 300
EVENTS = 60


class Service:
    """`alsobought demo` in a folder, and one connection to it."""

    def __init__(self, folder: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environ = {**os.environ, "ALSOBOUGHT_DATA": folder, "ALSOBOUGHT_PORT": str(self.port)}
        started = time.perf_counter()
        self.process = subprocess.Popen([sys.executable, "-m", "alsobought", "demo"], env=environ, cwd=HERE.parent)
        while not self._is_ready():
            if self.process.poll() is not None:
                raise SystemExit("the demo did not start")
            time.sleep(0.02)
        self.seconds_to_start = time.perf_counter() - started
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def _is_ready(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def request(self, path: str, body: object = None, headers: Mapping[str, str] = {}) -> Any:
        data = None if body is None else json.dumps(body)
        self.connection.request("GET" if data is None else "POST", path, data, dict(headers))
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise SystemExit(f"{path}: {response.status} {text.decode()}")
        return json.loads(text)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def milliseconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - started)


def percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    return f"{statistics.median(ordered):.1f} | {ordered[int(len(ordered) * 0.99)]:.1f}"


def measure_answers(service: Service) -> list[str]:
    """Latencies of single requests: first (computed) and warm (cached until an event invalidates it)."""
    rng = random.Random(1)
    popular = service.request("/pipes/find_items?limit=100")["data"]
    weights = [row["purchases"] for row in popular]
    items = [row["item_id"] for row in rng.choices(popular, weights, k=REQUESTS)]
    users = [row["user_id"] for row in service.request("/pipes/active_users?limit=100")["data"]]
    paths = {
        "`also_bought`": [f"/pipes/also_bought?item_id={item}" for item in items],
        "`bought_together`, 2 items": [f"/pipes/bought_together?item_id={a}&item_id={b}" for a, b in pairwise(items)],
        "`for_you`": [f"/pipes/for_you?user_id={user}" for user in users],
        "`trending`": ["/pipes/trending"] * 50,
        "`recently_viewed`": [f"/pipes/recently_viewed?user_id={user}" for user in users],
        "no pipe: `/healthz`": ["/healthz"] * REQUESTS,
    }
    lines = ["| request, alone | first time p50 | p99 ms | warm p50 | p99 ms |", "|---|---|---|---|---|"]
    headers = {"Cache-Control": "no-cache"}
    for name, requests in paths.items():
        first, warm = [], []
        for path in requests:
            first.append(milliseconds(partial(service.request, path, headers=headers)))
            warm.append(milliseconds(partial(service.request, path)))
        lines.append(f"| {name} | {percentiles(first)} | {percentiles(warm)} |")
    return lines


def measure_visibility(service: Service) -> list[str]:
    """The time from posting an event until a pipe returns it."""
    times_by_pipe: dict[str, list[float]] = {"recently_viewed": [], "trending": [], "also_bought": []}
    for number in range(EVENTS):
        item, other = f"new-{number}-a", f"new-{number}-b"
        bought = {
            "event_type": "purchase",
            "user_id": f"bench-{number}",
            "order_id": "o",
            "category": f"Bench/{number}",
        }
        view = {"event_type": "view", "user_id": f"bench-{number}", "item_id": item}
        times_by_pipe["recently_viewed"].append(
            _until(service, [view], f"recently_viewed?user_id=bench-{number}", item)
        )
        order = [bought | {"item_id": item}, bought | {"item_id": other}]
        times_by_pipe["also_bought"].append(_until(service, order, f"also_bought?item_id={item}", other))
        path = f"trending?category={quote(f'Bench/{number}/x')}"
        extra = [bought | {"item_id": f"new-{number}-c", "category": f"Bench/{number}/x"}]
        service.request("/items?wait=true", {"item_id": f"new-{number}-c", "category": f"Bench/{number}/x"})
        times_by_pipe["trending"].append(_until(service, extra, path, f"new-{number}-c"))
    lines = ["| event posted → visible in | p50 | p99 ms |", "|---|---|---|"]
    return lines + [f"| `{pipe}` | {percentiles(times)} |" for pipe, times in times_by_pipe.items()]


def _until(service: Service, events: list[dict[str, str]], path: str, item: str) -> float:
    started = time.perf_counter()
    service.request("/events", events)
    while item not in json.dumps(service.request(f"/pipes/{path}&limit=100")["data"]):
        if time.perf_counter() - started > 10:
            raise SystemExit(f"{path} never returned {item}")
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(folder)
        first_start = service.seconds_to_start
        service.stop()
        service = Service(folder)
        second_start = service.seconds_to_start
        tables = [*measure_answers(service), "", *measure_visibility(service)]
        service.stop()
    lines = [
        "# First light",
        "",
        f"`python -m benchmarks.first_light`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores,"
        f" Python {platform.python_version()}, load generator on the same machine.",
        "",
        "* Empty folder → the Complete Journey year (1,443,245 purchases) loaded with all views and served:"
        f" **{first_start:.0f} s**",
        f"* Restart with the loaded data → first answer: **{second_start:.1f} s**",
        "",
        "Items of `also_bought` and `bought_together` are sampled from the 100 most bought, weighted by purchases: the",
        "most expensive ones. *First time* is computed from the count tables; *warm* comes from the cache, because no",
        "event has invalidated it (`@cache` in the header of the pipe).",
        "",
        *tables,
        "",
    ]
    text = "\n".join(lines)
    (HERE / "first_light.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
