"""Measure each pipe on the year without a cache, one request at a time, and the learners.

    .venv/bin/python -m benchmarks.pipes [PIPE ...]

Uses the warehouse of the settings, such as that of `make demo` (stopped), with the clock at its newest event. Without
names of pipes it runs the learners first.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.learning.context import Context
from alsobought.learning.registry import learn
from alsobought.pipes.library import Pipe
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import answer
from alsobought.settings import from_environment, packaged_home

REQUESTS, WARM_UP = 100, 10
LEARNERS = ("neighbours", "embeddings", "ranker")
FIXED_PARAMETERS = {"q": "milk", "days": "28"}


def requests(service: Service, pipe: Pipe, size: int) -> list[dict[str, list[str]]]:
    """Items weighted by purchases, users uniformly; other required parameters have a fixed value."""
    generator = random.Random(1)
    bought = service.warehouse.rows(
        "select dictGet('catalogue', 'item_id', item_key), sum(orders) as n from item_totals where item_key != 0"
        " group by item_key having n > 0 order by n desc limit 20000"
    ).data
    users = [row[0] for row in service.warehouse.rows("select distinct user_id from user_items order by user_id").data]
    items, weights = [row[0] for row in bought], [int(row[1]) for row in bought]
    names = [parameter.name for parameter in pipe.parameters if parameter.required or parameter.name == "user_id"]
    samples = []
    for _ in range(size):
        values = {
            "item_id": generator.choices(items, weights)[0],
            "user_id": generator.choice(users),
            **FIXED_PARAMETERS,
        }
        samples.append({name: [values[name]] for name in names if name in values})
    return samples


def measure(service: Service, name: str, now: datetime) -> tuple[float, float, float]:
    """Milliseconds: the median, the 99th percentile, and the median of CPU time."""
    wall_times, cpu_times = [], []
    for number, parameters in enumerate(requests(service, service.library[name], WARM_UP + REQUESTS)):
        started, cpu_started = time.perf_counter(), time.process_time()
        answer(service.library, service.warehouse, name, parameters, now)
        if number >= WARM_UP:
            wall_times.append(1e3 * (time.perf_counter() - started))
            cpu_times.append(1e3 * (time.process_time() - cpu_started))
    return statistics.median(wall_times), statistics.quantiles(wall_times, n=100)[98], statistics.median(cpu_times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipes", nargs="*", metavar="PIPE")
    arguments = parser.parse_args()
    service = open_service(msgspec.structs.replace(from_environment(), record_requests=False))
    try:
        newest = service.warehouse.value("select toUnixTimestamp64Milli(max(timestamp)) from events")
        now = datetime.fromtimestamp(int(newest) / 1e3, UTC) + timedelta(seconds=1)
        for name in LEARNERS if not arguments.pipes else ():
            started = time.perf_counter()
            summary = learn(
                name, Context(service.warehouse, packaged_home(), now, lambda *_: nullcontext(lambda _: None)), {}
            ).line
            print(f"| learn {name} | {time.perf_counter() - started:.0f} s | {summary} |", flush=True)
        for name in arguments.pipes or service.library.names():
            try:
                p50, p99, cpu = measure(service, name, now)
            except AlsoboughtError as error:
                print(f"| {name} | {error} |")
                continue
            print(f"| {name} | {p50:.1f} | {p99:.1f} | {cpu:.1f} |", flush=True)
    finally:
        service.close()


if __name__ == "__main__":
    main()
