"""How long each pipe takes on the year, nothing kept, one request at a time; and how long it takes to learn.

    .venv/bin/python -m benchmarks.pipes [PIPE ...]

Of the shop that the settings name, such as the one of `make demo` (stopped); the clock is at its newest event. Without names
of pipes it first learns what can be learnt.
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

ASKED, WARM = 100, 10
LEARNERS_ASKED = ("neighbours", "embeddings", "ranker")
GIVEN = {"q": "milk", "days": "28"}


def questions(shop: Service, pipe: Pipe, size: int) -> list[dict[str, list[str]]]:
    """Items by how often they are bought, people as they come; what else is required has one value."""
    draw = random.Random(1)
    bought = shop.warehouse.rows(
        "select dictGet('catalogue', 'item_id', item_key), sum(orders) as n from item_totals where item_key != 0"
        " group by item_key having n > 0 order by n desc limit 20000"
    ).data
    users = [row[0] for row in shop.warehouse.rows("select distinct user_id from user_items order by user_id").data]
    items, weights = [row[0] for row in bought], [int(row[1]) for row in bought]
    names = [one.name for one in pipe.parameters if one.required or one.name == "user_id"]
    made = []
    for _ in range(size):
        values = {"item_id": draw.choices(items, weights)[0], "user_id": draw.choice(users), **GIVEN}
        made.append({name: [values[name]] for name in names if name in values})
    return made


def timed(shop: Service, name: str, now: datetime) -> tuple[float, float, float]:
    """Milliseconds: the median, the 99th of 100, and the median of CPU time."""
    took, spent = [], []
    for number, asked in enumerate(questions(shop, shop.library[name], WARM + ASKED)):
        begun, cpu = time.perf_counter(), time.process_time()
        answer(shop.library, shop.warehouse, name, asked, now)
        if number >= WARM:
            took.append(1e3 * (time.perf_counter() - begun))
            spent.append(1e3 * (time.process_time() - cpu))
    return statistics.median(took), statistics.quantiles(took, n=100)[98], statistics.median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pipes", nargs="*", metavar="PIPE")
    given = parser.parse_args()
    shop = open_service(msgspec.structs.replace(from_environment(), record_requests=False))
    try:
        newest = shop.warehouse.value("select toUnixTimestamp64Milli(max(timestamp)) from events")
        now = datetime.fromtimestamp(int(newest) / 1e3, UTC) + timedelta(seconds=1)
        for name in LEARNERS_ASKED if not given.pipes else ():
            begun = time.perf_counter()
            said = learn(
                name, Context(shop.warehouse, packaged_home(), now, lambda *_: nullcontext(lambda _: None)), {}
            ).line
            print(f"| learn {name} | {time.perf_counter() - begun:.0f} s | {said} |", flush=True)
        for name in given.pipes or shop.library.names():
            try:
                p50, p99, cpu = timed(shop, name, now)
            except AlsoboughtError as error:
                print(f"| {name} | {error} |")
                continue
            print(f"| {name} | {p50:.1f} | {p99:.1f} | {cpu:.1f} |", flush=True)
    finally:
        shop.close()


if __name__ == "__main__":
    main()
