"""What the metrics of recommendations cost: pipes over touches and purchases that SQL makes, without the writer.

    .venv/bin/python -m benchmarks.attribution [--touches 10000000] [--purchases 1000000] [--days 28]

Writes attribution.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from alsobought.serving.answers import answer
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings

HERE = Path(__file__).resolve().parent
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ITEMS, PLACEMENTS, LIST = 50_000, 12, 10
CLICKS, REPEATED = 0.05, 0.05  # shares of the touches
RUNS = 5


@contextmanager
def shop(folder: str) -> Iterator[Service]:
    settings = Settings(dsn=f"chdb://{folder}", home=str(HERE.parent), record_requests=False, query_seconds=60)
    service = open_service(settings, lambda: NOW)
    try:
        yield service
    finally:
        service.close()


def fill(service: Service, touches: int, purchases: int, days: int) -> None:
    """Lists of ten items, each shown to a user; one touch in twenty is a click; a fifth of the purchases follow a click."""
    database, users = service.warehouse.database, max(1, touches // 50)
    seconds = days * 86_400
    at = f"toDateTime64('{NOW:%Y-%m-%d %H:%M:%S}', 3, 'UTC') - toIntervalSecond"
    lists = f"""
        select
            number,
            intDiv(number, {LIST}) as list,
            'u' || toString(cityHash64(list, 'user') % {users}) as user_id,
            base64Encode(substring(SHA256(toString(list)), 1, 24)) as recommendation_id,
            {at}({seconds} - intDiv(number * {seconds}, {touches}) - 1) as shown_at,
            'i' || toString(cityHash64(number, 'item') % {ITEMS}) as item_id,
            1 + cityHash64(list, 'placement') % {PLACEMENTS} as placement,
            1 + number % {LIST} as position
        from numbers({{first}}, {{count}})
    """
    columns = (
        "user_id, day, recommendation_id, item_key, event_type, placement, recommended_at, position, session_id,"
        " first_time, first_seq, events"
    )
    for first in range(0, touches, 1_000_000):
        some = lists.format(first=first, count=min(1_000_000, touches - first))
        for event_type, share in (("impression", 1 - CLICKS), ("click", CLICKS)):
            service.warehouse.command(
                f"insert into {database}.touches ({columns}) select user_id, toDate(shown_at), recommendation_id,"
                f" cityHash64(item_id), '{event_type}', placement, shown_at, position, 's' || toString(list), shown_at,"
                f" 2 * number + 1, 1 from ({some}) where cityHash64(number, '{event_type}') < {share} * 18446744073709551615"
            )
    for first in range(0, purchases, 1_000_000):
        count = min(1_000_000, purchases - first)
        spread = f"cityHash64(number, 'list') % {touches}"
        service.warehouse.command(
            f"insert into {database}.events (event_id, event_type, user_id, item_id, order_id, order_size, quantity, price,"
            f" timestamp, ingested_at, seq) select 'e' || toString(number), 'purchase', user_id,"
            f" if(number % 5 = 0, item_id, 'i' || toString(cityHash64(number, 'other') % {ITEMS})) as item_id,"
            f" 'o' || toString(intDiv(number, 2)), 2, 1, toDecimal64(1 + cityHash64(item_id) % 5000 / 100, 2),"
            f" least(shown_at + toIntervalSecond(cityHash64(number, 'wait') % 86400), {at}(1)), now64(3), {2 * touches} + number"
            f" from ({lists.format(first=0, count=touches).replace(f'numbers(0, {touches})', f'(select {spread} as number from numbers({first}, {count}))')})"
        )
    rows = ", ".join(
        f"({key}, 'surface.{key % 4}', 'pipe_{key % 3}', 'v{key}', '', '', '2026-01-01 00:00:00')"
        for key in range(1, PLACEMENTS + 1)
    )
    service.warehouse.command(f"insert into {database}.placements values {rows}")
    service.warehouse.command(f"optimize table {database}.touches final")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--touches", type=int, default=10_000_000)
    parser.add_argument("--purchases", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=28)
    parser.add_argument("--folder", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, shop(options.folder or f"{made}/data") as service:
        if not service.warehouse.value(f"select count() from {service.warehouse.database}.touches"):
            fill(service, options.touches, options.purchases, options.days)
        for name, parameters in (
            ("recommendation_metrics", {}),
            ("recommendation_metrics", {"by": "day"}),
            ("recommendation_metrics", {"by": "position", "model": "position_weighted"}),
            ("recommendation_metrics", {"by": "segment"}),
            ("recommendation_coverage", {}),
            ("recommendation_faults", {}),
        ):
            print(name, parameters, measure(service, name, **parameters))


if __name__ == "__main__":
    main()
