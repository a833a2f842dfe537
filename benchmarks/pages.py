"""Measure first and later pages of lists, computed and from the cache, over HTTP on one connection.

    .venv/bin/python -m benchmarks.pages http://127.0.0.1:8080      `make demo` in another terminal

Prints a table: milliseconds until the answer, the median of REQUESTS lists each, and the length of the cursor of that page.
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

REQUESTS, LIMIT = 15, 20
PAGES = (1, 2, 10, 50)
SUBJECTS = {"popular": "", "also_bought": "item_id", "for_you": "user_id"}


class Shop:
    """One connection to a running service."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def ask(self, pipe: str, *pairs: tuple[str, object]) -> tuple[Any, float]:
        """The answer, and the milliseconds until it was here."""
        started = time.perf_counter()
        self._connection.request("GET", f"/pipes/{pipe}?{urlencode(pairs)}", headers={"Accept": "*/*"})
        text = self._connection.getresponse().read()
        return json.loads(text), 1000 * (time.perf_counter() - started)

    def subjects(self, name: str) -> Sequence[str]:
        """Some ids for a parameter of this name; one empty one if lists have no subject."""
        if not name:
            return [""] * REQUESTS
        rows = self.ask("active_users" if name == "user_id" else "popular", ("limit", 100))[0]["data"]
        return random.Random(7).sample([row[name] for row in rows], REQUESTS)


def main(url: str) -> None:
    shop = Shop(url)
    print("| pipe | page | computed | from the cache | characters of the cursor |\n|---|---|---|---|---|")
    for pipe, parameter in SUBJECTS.items():
        computed: dict[int, list[float]] = {page: [] for page in PAGES}
        cached: dict[int, list[float]] = {page: [] for page in PAGES}
        lengths: dict[int, int] = {}
        for subject in shop.subjects(parameter):
            asked = [(parameter, subject)] if parameter else []
            cursor = ""
            for page in range(1, max(PAGES) + 1):
                pairs = [*asked, ("limit", LIMIT), *([("cursor", cursor)] if cursor else [])]
                answer, seconds = shop.ask(pipe, *pairs, ("fresh", "true"))
                if page in PAGES:
                    computed[page].append(seconds)
                    lengths[page] = len(cursor)
                    shop.ask(pipe, *pairs)
                    cached[page].append(shop.ask(pipe, *pairs)[1])
                cursor = answer["next"]
                if not cursor:
                    break
        for page in PAGES:
            if computed[page]:
                times = f"{statistics.median(computed[page]):.1f} ms | {statistics.median(cached[page]):.1f} ms"
                print(f"| `{pipe}` | {page} | {times} | {lengths[page] or ''} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
