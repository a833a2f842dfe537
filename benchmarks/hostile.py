"""Measure extreme groups: a user with 100,000 items, an order of 5,000 lines, an item that all users bought.

    .venv/bin/python -m benchmarks.hostile

Stores them in a warehouse in memory, and ordinary batches for comparison, checks every table, and writes hostile.md.
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


def events(count: int, overrides: Fields, event_type: str = "purchase", first: int = 0) -> list[Event]:
    """Events whose fields are functions of their number."""
    fields = {"user_id": "u{}".format, "item_id": "i{}".format, **overrides}
    numbers = range(first, first + count)
    rows = [
        {"event_type": event_type, "timestamp": NOON, **{name: value(n) for name, value in fields.items()}}
        for n in numbers
    ]
    return msgspec.convert(rows, list[Event])


def constant(text: str) -> Callable[[int], str]:
    return lambda _: text


def seconds_to_store(service: Service, rows: list[Event]) -> float:
    started = time.perf_counter()
    service.writer.submit(Submission(rows)).result()
    return time.perf_counter() - started


def peak_memory() -> float:
    """The peak memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    settings = Settings(dsn="chdb://:memory:", batch_seconds=0.001)
    service = open_service(settings)
    bot: Fields = {"user_id": constant("bot"), "session_id": constant("s")}
    ordinary: Fields = {
        "user_id": lambda n: f"v{n // 10}",
        "order_id": constant("o"),
        "item_id": lambda n: f"i{n * 7919 % 20_011}",
    }
    steps = {
        "1 purchase of a new user": partial(events, 1, {"user_id": constant("first")}),
        "50,000 purchases of 5,000 users in orders of 10": partial(events, 50_000, ordinary),
        "a user buys 50,000 items": partial(events, 50_000, bot),
        "and 50,000 more": partial(events, 50_000, bot, first=50_000),
        "and one more": partial(events, 1, bot, first=100_000),
        "a session views 50,000 items": partial(events, 50_000, bot, "view"),
        "and one more of its views": partial(events, 1, bot, "view", first=50_000),
        "an order of 5,000 lines": partial(events, 5_000, {"user_id": constant("w"), "order_id": constant("o")}),
        "an order of 50,000 lines": partial(events, 50_000, {"user_id": constant("x"), "order_id": constant("o")}),
        "an item that 50,000 users buy": partial(
            events, 50_000, {"item_id": constant("i1"), "order_id": constant("o")}
        ),
    }
    lines = ["| one batch | s | peak GB so far |", "|---|---|---|"]
    for title, create in steps.items():
        rows = create()
        lines.append(f"| {title} | {seconds_to_store(service, rows):.2f} | {peak_memory():.1f} |")
        print(lines[-1], flush=True)
    started = time.perf_counter()
    wrong = sum(rows for _, rows in wrong_rows(service.warehouse, settings.home_folder / "sql" / "checks"))
    lines.append(
        f"| every table against a recompute: {wrong} rows wrong | {time.perf_counter() - started:.2f} | {peak_memory():.1f} |"
    )
    service.close()
    text = "\n".join(
        [
            "# Hostile groups",
            "",
            f"`python -m benchmarks.hostile`, {datetime.now(UTC):%Y-%m-%d}, 2 cores, Python {platform.python_version()}.",
            "",
            "A pair counts only if its two items are close in their group: within 20 ranks for users and sessions, 100 for",
            "orders. So a group of n items makes at most 40 n, or 200 n, pairs, and never n².",
            "",
            *lines,
            "",
        ]
    )
    (HERE / "hostile.md").write_text(text)


if __name__ == "__main__":
    main()
