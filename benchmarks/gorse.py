"""Neighbours of items and lists of users, beside Gorse with the same purchases on the same machine.

    go install github.com/gorse-io/gorse/cmd/gorse-in-one@v0.5.11
    .venv/bin/python -m benchmarks.gorse --gorse ~/go/bin/gorse-in-one [--folder data]

Gorse computes its lists in advance and gives them from SQLite. So it is asked after it has computed those of the items that are
asked for. Writes gorse.md.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alsobought.console import out
from benchmarks.first_light import Service
from benchmarks.traffic import Result, Shop, closed_loop, cpu_of, machine, memory_of, names
from tests.support.process import free_port

HERE = Path(__file__).resolve().parent
CONNECTIONS = 16
BATCH = 5_000
SAMPLE = 40  # lists of items that must be ready before Gorse is asked
WAIT_SECONDS = 900.0
CONFIG = """
[database]
data_store = "sqlite://{folder}/data.db"
cache_store = "sqlite://{folder}/cache.db"
[master]
port = {port}
host = "127.0.0.1"
http_port = {http_port}
http_host = "127.0.0.1"
n_jobs = 2
[server]
default_n = 10
auto_insert_user = true
auto_insert_item = true
[recommend]
cache_size = 100
[recommend.data_source]
positive_feedback_types = ["purchase"]
[[recommend.item-to-item]]
name = "neighbors"
type = "users"
[recommend.collaborative]
type = "mf"
fit_epoch = 20
optimize_trials = 1
[recommend.ranker]
type = "fm"
fit_epoch = 20
optimize_trials = 1
recommenders = ["collaborative", "item-to-item/neighbors"]
[recommend.fallback]
recommenders = ["item-to-item/neighbors", "latest"]
[blob]
uri = "{folder}/blob"
"""
PURCHASES = """
import json, sys
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(Settings(dsn=sys.argv[1]), create=False)
sql = "select user_id, item_id, toString(max(last_time)) from alsobought.user_items where event_type = 'purchase' group by 1, 2"
print(json.dumps(warehouse.trusted_rows(sql).data))
"""


class Gorse:
    """Gorse in one process, with data in a folder."""

    def __init__(self, binary: str, folder: str) -> None:
        self.port = free_port()
        self._files, config = Path(folder, "files"), Path(folder, "config.toml")
        self._files.mkdir()
        config.write_text(CONFIG.format(folder=folder, port=free_port(), http_port=self.port))
        self._command = [binary, "-c", str(config), "--cache-path", str(self._files)]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for(self._answers, 60)

    def ask(self, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        data = None if body is None else json.dumps(body)
        connection.request("GET" if data is None else "POST", f"/api{path}", data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise SystemExit(f"{path}: {response.status} {text.decode()[:200]}")
        return json.loads(text)

    def _answers(self) -> bool:
        try:
            self.ask("/health/ready")
        except OSError:
            return False
        return True

    def load(self, purchases: list[list[str]]) -> float:
        """Rows of feedback stored in a second."""
        started = time.perf_counter()
        for first in range(0, len(purchases), BATCH):
            feedback = [
                {"FeedbackType": "purchase", "UserId": user, "ItemId": item, "Value": 1, "Timestamp": f"{at[:19]}Z"}
                for user, item, at in purchases[first : first + BATCH]
            ]
            self.ask("/feedback", feedback)
        return len(purchases) / (time.perf_counter() - started)

    def is_ready(self, items: list[str]) -> bool:
        return all(self.ask(f"/item-to-item/neighbors/{item}?n=10") for item in items)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def _wait_for(condition: Callable[[], bool], seconds: float) -> float:
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > seconds:
            raise SystemExit("Gorse was not ready in time")
        time.sleep(1)
    return time.perf_counter() - started


def lists(shop: Shop, paths: tuple[str, str], seconds: float, cpu: Callable[[], float]) -> tuple[Result, Result]:
    """Neighbours of items, the popular ones more often, and lists of random users; `{}` in a path is the id."""

    def requests(path: str, draw: Callable[[], str]) -> Iterator[dict[str, Any]]:
        while True:
            yield shop.get(path.format(draw()))

    items, users = paths
    return (
        closed_loop(requests(items, shop.item), CONNECTIONS, seconds, cpu),
        closed_loop(requests(users, shop.user), CONNECTIONS, seconds, cpu),
    )


def measure(binary: str, folder: str, seconds: float) -> str:
    Service(folder).stop()  # loads the year if it is not there
    items, users = names(folder)
    command = [sys.executable, "-c", PURCHASES, f"chdb://{Path(folder, 'journey')}"]
    purchases = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=HERE.parent).stdout)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        gorse = Gorse(binary, temporary)
        try:
            out.print(f"{len(purchases):,} purchases into Gorse …")
            rate = gorse.load(purchases)
            gorse.stop()
            gorse.start()  # it computes its lists at once, instead of an hour later
            waited = _wait_for(lambda: gorse.is_ready(items[:SAMPLE]), WAIT_SECONDS)
            loaded = f"{rate:,.0f} rows/s; its lists of items were ready {waited:,.0f} s later"
            out.print(loaded)
            shop = Shop(gorse.url, items, users, 1)
            paths = "/item-to-item/neighbors/{}?n=10", "/recommend/{}?n=10"
            rows.append(("Gorse", lists(shop, paths, seconds, cpu_of(gorse.process.pid)), memory_of(gorse.process.pid)))
        finally:
            gorse.stop()
    service = Service(folder)
    try:
        shop, cpu = Shop(f"http://127.0.0.1:{service.port}", items, users, 1), cpu_of(service.process.pid)
        paths = "/pipes/also_bought?item_id={}", "/pipes/for_you?user_id={}"
        for name, more in (("Alsobought, each computed anew", "&fresh=true"), ("Alsobought, as it serves", "")):
            measured = lists(shop, (paths[0] + more, paths[1] + more), seconds, cpu)
            rows.append((name, measured, memory_of(service.process.pid)))
    finally:
        service.stop()
    table = "\n".join(
        f"| {name} | {_cell(neighbours)} | {_cell(list_of_user)} | {memory:,.0f} MB |"
        for name, (neighbours, list_of_user), memory in rows
    )
    return f"""# Beside Gorse

Written by `python -m benchmarks.gorse` on {datetime.now(UTC):%Y-%m-%d}: {machine()}.
Gorse 0.5.11 in one process with SQLite, {len(purchases):,} purchases of the Complete Journey, stored at {loaded}.
{CONNECTIONS} connections that ask as fast as they can, ten items a list: neighbours of items, the popular ones more often, and
lists of users drawn at random.

| | neighbours of an item | list of a user | memory |
|---|---|---|---|
{table}

Gorse gives lists that it computed in advance: those of items and users change when its next round has ended. While it was
asked it still computed those of users, which takes more than ten minutes of both cores. *As it serves* means with the cache,
which an event of the item or user makes stale, and which was empty at first.
"""


def _cell(result: Result) -> str:
    return f"{result.answered:,.0f}/s, p50 {result.p50:.1f}, p99 {result.p99:.0f} ms, errors: {result.errors}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gorse", required=True, help="the program, such as ~/go/bin/gorse-in-one")
    parser.add_argument("--folder", help="with the year of the Complete Journey; without, it is loaded anew")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        page = measure(parsed.gorse, parsed.folder or temporary, parsed.seconds)
    (HERE / "gorse.md").write_text(page)


if __name__ == "__main__":
    main()
