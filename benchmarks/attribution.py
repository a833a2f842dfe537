"""What the metrics of recommendations cost: pipes over touches and purchases that SQL makes, without the writer.

    .venv/bin/python -m benchmarks.attribution [--touches 10000000] [--purchases 1000000] [--days 28] [--folder DATA]

Writes attribution.md. With --folder the data stay there, and are used again.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alsobought.events import Event
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import answer
from alsobought.settings import Settings
from alsobought.writer.submission import Submission

HERE = Path(__file__).resolve().parent
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS, PLACEMENTS, LIST = 50_000, 12, 10
CLICKS = 0.05  # share of the touches
BLOCK = 1_000_000
RUNS = 3
WRITES = 9
AT = f"toDateTime64('{NOW:%Y-%m-%d %H:%M:%S}', 3, 'UTC')"
ASKED: list[tuple[str, dict[str, str]]] = [
    ("recommendation_metrics", {"by": "surface"}),
    ("recommendation_metrics", {"by": "day"}),
    ("recommendation_metrics", {"by": "position"}),
    ("recommendation_metrics", {"by": "segment"}),
    ("recommendation_metrics", {"by": "surface", "model": "position_weighted"}),
    ("recommendation_coverage", {"by": "surface"}),
    ("recommendation_faults", {}),
]


@contextmanager
def shop(folder: str) -> Iterator[Service]:
    settings = Settings(dsn=f"chdb://{folder}", home=str(HERE.parent), record_requests=False, query_seconds=60)
    service = open_service(settings, lambda: NOW)
    try:
        yield service
    finally:
        service.close()


def fill(service: Service, touches: int, purchases: int, days: int) -> None:
    """Lists of ten items, each shown to a user; one touch in twenty is a click; a fifth of the purchases follow a touch."""
    warehouse, database = service.warehouse, service.warehouse.database
    columns = (
        "user_id, day, recommendation_id, item_key, event_type, placement, recommended_at, position, session_id,"
        " first_time, first_seq, events"
    )
    for first in range(0, touches, BLOCK):
        some = _lists(f"numbers({first}, {min(BLOCK, touches - first)})", touches, days)
        for event_type, share in (("impression", 1 - CLICKS), ("click", CLICKS)):
            warehouse.command(
                f"insert into {database}.touches ({columns}) select user_id, toDate(shown_at), recommendation_id,"
                f" cityHash64(item_id), '{event_type}', placement, shown_at, position, 's' || toString(list), shown_at,"
                f" 2 * number + 1, 1 from ({some}) where cityHash64(number, '{event_type}') < {share} * {2**64 - 1}"
            )
    for first in range(0, purchases, BLOCK):
        drawn = f"cityHash64(number, 'list') % {touches} as number"
        some = _lists(f"(select {drawn} from numbers({first}, {min(BLOCK, purchases - first)}))", touches, days)
        warehouse.command(
            f"insert into {database}.events (event_id, event_type, user_id, item_id, order_id, order_size, quantity, price,"
            f" timestamp, ingested_at, seq) select 'e' || toString(rowNumberInAllBlocks() + {first}), 'purchase', user_id,"
            f" if(number % 5 = 0, item_id, 'i' || toString(cityHash64(number, 'other') % {ITEMS})),"
            " 'o' || toString(intDiv(number, 2)), 2, 1, toDecimal64(1 + number % 5000 / 100, 2),"
            f" least(shown_at + toIntervalSecond(cityHash64(number, 'wait') % 86400), {AT} - toIntervalSecond(1)), now64(3),"
            f" {2 * touches + first} + rowNumberInAllBlocks() from ({some})"
        )
    rows = ", ".join(
        f"({key}, 'surface.{key % 4}', 'pipe_{key % 3}', 'v{key}', '', '', '2026-01-01 00:00:00')"
        for key in range(1, PLACEMENTS + 1)
    )
    warehouse.command(f"insert into {database}.placements values {rows}")
    warehouse.command(f"optimize table {database}.touches final")


def _lists(numbers: str, touches: int, days: int) -> str:
    """A SELECT of the touches with these numbers, spread over the days before NOW."""
    seconds = days * 86_400
    return f"""
        select
            number,
            intDiv(number, {LIST}) as list,
            'u' || toString(cityHash64(list, 'user') % {max(1, touches // 50)}) as user_id,
            base64Encode(substring(SHA256(toString(list)), 1, 24)) as recommendation_id,
            {AT} - toIntervalSecond({seconds} - intDiv(number * {seconds}, {touches}) - 1) as shown_at,
            'i' || toString(cityHash64(number, 'item') % {ITEMS}) as item_id,
            1 + cityHash64(list, 'placement') % {PLACEMENTS} as placement,
            1 + number % {LIST} as position
        from {numbers}
    """


def measure(service: Service, name: str, **parameters: Any) -> tuple[float, float, int]:
    """The medians of seconds and of CPU seconds, and the number of rows."""
    raw = {key: [value] for key, value in parameters.items()}
    walls, cpus, rows = [], [], 0
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        rows = len(answer(service.library, service.warehouse, name, raw, NOW).data)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus), rows


def batch(size: int, run: int, recommendation_id: str) -> list[Event]:
    """Events of a page; half of them bring back the id, if there is one."""
    return [
        Event(
            event_type=("impression", "view", "click", "purchase")[n % 4],
            user_id=f"u{n % 500}",
            item_id=f"i{n * 7 % 2000}",
            order_id=f"o{run}-{n % 300}" if n % 4 == 3 else "",
            recommendation_id=recommendation_id if n % 2 else "",
            position=1 + n % 10,
            timestamp=NOW,
        )
        for n in range(size)
    ]


def writer_cost(service: Service, size: int, *, with_ids: bool) -> tuple[float, float]:
    """The median CPU seconds of a batch of so many events without and with `touches_mv`, in turns."""
    table = f"{service.warehouse.database}.touches_mv"
    recommendation_id = service.recommendations.mint(Placement("popular", "1", "home"), NOW) if with_ids else ""
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(2 * WRITES + 2):
        has_view = run % 2
        service.warehouse.command(f"{'attach' if has_view else 'detach'} table {table}")
        events = batch(size, run, recommendation_id)
        started = time.process_time()
        service.writer.submit(Submission(events)).result()
        if run > 1:  # the first two warm up
            times[has_view].append(time.process_time() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touches", type=int, default=10_000_000)
    parser.add_argument("--purchases", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, shop(options.folder or f"{made}/data") as service:
        if not service.warehouse.trusted_rows(f"select 1 from {service.warehouse.database}.touches limit 1").data:
            fill(service, options.touches, options.purchases, options.days)
        lines = [
            "# Attribution",
            "",
            f"`python -m benchmarks.attribution`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python"
            f" {platform.python_version()}; load {os.getloadavg()[0]:.0f}. {options.touches:,} touches and {options.purchases:,}"
            f" purchases over {options.days} days; pipes over the last 7 of them, in one thread each; medians of {RUNS}.",
            "",
            "| pipe | CPU seconds | seconds | rows |",
            "|---|---:|---:|---:|",
        ]
        for name, parameters in ASKED:
            wall, cpu, rows = measure(service, name, **parameters)
            asked = " ".join(f"{key}={value}" for key, value in parameters.items())
            lines.append(f"| {name} {asked} | {cpu:.2f} | {wall:.2f} | {rows} |")
        lines += [
            "",
            "What `touches_mv`, the view that fills `touches`, costs the writer: CPU milliseconds of a batch, medians of"
            f" {WRITES} in turns. Half of the events have an id, or none.",
            "",
            "| events | ids | without the view | with it | ratio |",
            "|---:|---|---:|---:|---:|",
        ]
        for size in (1_000, 10_000):
            for with_ids in (False, True):
                without, with_ = writer_cost(service, size, with_ids=with_ids)
                ids = "half" if with_ids else "none"
                lines.append(
                    f"| {size:,} | {ids} | {1000 * without:.0f} | {1000 * with_:.0f} | {with_ / without:.2f} |"
                )
    (HERE / "attribution.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
