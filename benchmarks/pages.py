"""Measure first and later pages of lists, computed and from the cache, over HTTP on one connection.

    .venv/bin/python -m benchmarks.pages http://127.0.0.1:8080 PID      `make demo` runs with this process id

Prints a table: the CPU of the service for a computed page, and the medians of the time until the answer, computed and cached.
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.traffic import cpu_of

LISTS, LIMIT, REPEATS = 8, 20, 4
PAGES = (1, 2, 10)
SUBJECTS = {"popular": "", "also_bought": "item_id", "for_you": "user_id"}


class Shop:
    """One connection to a running service."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def ask(self, path: str) -> Any:
        self._connection.request("GET", path, headers={"Accept": "*/*"})
        return json.loads(self._connection.getresponse().read())

    def milliseconds(self, path: str) -> float:
        started = time.perf_counter()
        self.ask(path)
        return 1000 * (time.perf_counter() - started)

    def pages(self, pipe: str, subject: Sequence[tuple[str, str]]) -> dict[int, str]:
        """The paths of the measured pages of one list."""
        paths, cursor = {}, ""
        for page in range(1, max(PAGES) + 1):
            path = f"/pipes/{pipe}?{urlencode([*subject, ('limit', LIMIT), ('cursor', cursor)])}"
            if page in PAGES:
                paths[page] = path
            cursor = self.ask(path)["next"]
            if not cursor:
                break
        return paths

    def subjects(self, name: str) -> list[list[tuple[str, str]]]:
        """Parameters for some lists: ids under this name, if lists have a subject."""
        if not name:
            return [[]] * LISTS
        rows = self.ask(f"/pipes/{'active_users' if name == 'user_id' else 'popular'}?limit=100")["data"]
        return [[(name, row[name])] for row in random.Random(7).sample(rows, LISTS)]


def measure(shop: Shop, cpu: Callable[[], float], paths: Sequence[str]) -> str:
    before = cpu()
    computed = [shop.milliseconds(f"{path}&fresh=true") for _ in range(REPEATS) for path in paths]
    each = 1000 * (cpu() - before) / len(computed)
    for path in paths:
        shop.ask(path)
    cached = [shop.milliseconds(path) for path in paths]
    return f"{each:.0f} ms | {statistics.median(computed):.0f} ms | {statistics.median(cached):.1f} ms"


def main(url: str, pid: str) -> None:
    shop, cpu = Shop(url), cpu_of(int(pid))
    print("| pipe | page | CPU | computed | from the cache |\n|---|---|---|---|---|")
    for pipe, parameter in SUBJECTS.items():
        lists = [shop.pages(pipe, subject) for subject in shop.subjects(parameter)]
        for page in PAGES:
            if paths := [paths[page] for paths in lists if page in paths]:
                print(f"| `{pipe}` | {page} | {measure(shop, cpu, paths)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
