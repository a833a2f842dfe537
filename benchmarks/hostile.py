"""Groups nobody plans for: a user with 100,000 items, an order of 5,000 lines, an item that everybody bought.

    .venv/bin/python -m benchmarks.hostile

Stores them in a warehouse in memory, beside what an ordinary batch costs, checks every table, and writes hostile.md.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from alsobought.counts.sum_checks import wrong_rows
from alsobought.events import Event
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.writer.submission import Submission

HERE = Path(__file__).resolve().parent
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Fields = Mapping[str, Callable[[int], str]]


def events(count: int, given: Fields, kind: str = "purchase", first: int = 0) -> list[Event]:
    """So many events, each field by its number."""
    fields = {"user_id": "u{}".format, "item_id": "i{}".format, **given}
    numbers = range(first, first + count)
    rows = [{"event_type": kind, "timestamp": NOON, **{name: of(n) for name, of in fields.items()}} for n in numbers]
    return msgspec.convert(rows, list[Event])


def always(text: str) -> Callable[[int], str]:
    return lambda _: text


def stored(shop: Service, rows: list[Event]) -> float:
    started = time.perf_counter()
    shop.writer.submit(Submission(rows)).result()
    return time.perf_counter() - started


def memory() -> float:
    """GB of this process at its largest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    settings = Settings(dsn="chdb://:memory:", batch_seconds=0.001)
    shop = open_service(settings)
    robot: Fields = {"user_id": always("robot"), "session_id": always("s")}
    ordinary: Fields = {
        "user_id": lambda n: f"v{n // 10}",
        "order_id": always("o"),
        "item_id": lambda n: f"i{n * 7919 % 20_011}",
    }
    steps = {
        "1 purchase of a new user": partial(events, 1, {"user_id": always("first")}),
        "50,000 purchases of 5,000 users in orders of 10": partial(events, 50_000, ordinary),
        "a user buys 50,000 items": partial(events, 50_000, robot),
        "and 50,000 more": partial(events, 50_000, robot, first=50_000),
        "and one more": partial(events, 1, robot, first=100_000),
        "a session views 50,000 items": partial(events, 50_000, robot, "view"),
        "and one more of its views": partial(events, 1, robot, "view", first=50_000),
        "an order of 5,000 lines": partial(events, 5_000, {"user_id": always("w"), "order_id": always("o")}),
        "an order of 50,000 lines": partial(events, 50_000, {"user_id": always("x"), "order_id": always("o")}),
        "an item that 50,000 people buy": partial(events, 50_000, {"item_id": always("i1"), "order_id": always("o")}),
    }
    lines = ["| one batch | s | GB at most so far |", "|---|---|---|"]
    for what, make in steps.items():
        rows = make()
        lines.append(f"| {what} | {stored(shop, rows):.2f} | {memory():.1f} |")
        print(lines[-1], flush=True)
    started = time.perf_counter()
    wrong = sum(rows for _, rows in wrong_rows(shop.warehouse, settings.home_folder / "sql" / "checks"))
    lines.append(
        f"| every table against a recompute: {wrong} rows wrong | {time.perf_counter() - started:.2f} | {memory():.1f} |"
    )
    shop.close()
    text = "\n".join(
        [
            "# Hostile groups",
            "",
            f"`python -m benchmarks.hostile`, {datetime.now(UTC):%Y-%m-%d}, 2 cores, Python {platform.python_version()}.",
            "",
            "A pair counts only if its two items are near each other in their group: 20 ranks for users and sessions, 100 for",
            "orders. So a group of n items makes at most 40 n, or 200 n, pairs, and never n².",
            "",
            *lines,
            "",
        ]
    )
    (HERE / "hostile.md").write_text(text)


if __name__ == "__main__":
    main()
