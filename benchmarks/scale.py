"""Measure how cost grows with the size of a shop: its catalogue, its events, its users. On the embedded engine, not over HTTP.

    .venv/bin/python -m benchmarks.scale [--quick | --full] [--events N] [--minutes N] [--folder FOLDER] [--to FOLDER]

Fills shops of growing size (benchmarks/synthetic.py) in one direction at a time, the other two held, and measures each in
processes of its own (benchmarks/one_size.py). A size that time or the disk does not allow is left out, and the page says why.
Compares the tables of the smallest shop with a recompute. Writes scale.md and scale.svg after each size. Takes about 20
minutes, with --full hours.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from alsobought.console import out
from benchmarks import one_size
from benchmarks.growth import cell, count_cell, growth, short, steep_steps
from benchmarks.one_size import Metrics
from benchmarks.synthetic import Size
from benchmarks.traffic import save, svg_figure

HERE = Path(__file__).resolve().parent
MINUTES = 20.0  # of a run without --full
MIN_FREE_BYTES = 3e9  # that stay free on the disk
BYTES_OF_AN_EVENT = 400.0  # until it is measured
SECONDS_OF_AN_EVENT = 40e-6  # likewise: filled and measured
DISK_FACTOR, TIME_FACTOR = (
    2.0,
    1.1,
)  # merges write parts anew before old ones go; a larger shop takes longer for each event
DIRECTIONS = ("items", "users", "events")
TITLES = {"items": "Items of the catalogue", "users": "Users", "events": "Events"}
MILLISECONDS = (
    *one_size.PIPES,
    f"also_bought, {one_size.KEYS} items",
    f"for_you, {one_size.KEYS} users",
    *(f"post of {events:,} events" for events in one_size.POST_SIZES),
    "reload of the dictionaries",
)
NUMBERS = (
    "megabytes after opening",
    "megabytes after the answers",
    "megabytes on disk",
    "peak megabytes",
    "seconds to fill",
    "seconds for the serving tables",
)
PLOTTED = (*one_size.PIPES, "post of 10 events", "post of 1,000 events")


@dataclass(frozen=True)
class Plan:
    """The sizes in each direction, and those at which the other two are held."""

    held: Size
    items: Sequence[int]
    users: Sequence[int]
    events: Sequence[int]
    minutes: float = MINUTES
    requests: int = one_size.REQUESTS

    def sizes(self, direction: str) -> list[Size]:
        return [replace(self.held, **{direction: value}) for value in getattr(self, direction)]

    def up_to(self, events: int) -> Plan:
        """The same with at most so many events."""
        fewer = [number for number in self.events if number < events]
        return replace(self, held=replace(self.held, events=min(events, self.held.events)), events=[*fewer, events])


THOUSAND, MILLION = 1_000, 1_000_000
DEFAULT = Plan(
    Size(100 * THOUSAND, 100 * THOUSAND, MILLION),
    [THOUSAND, 10 * THOUSAND, 100 * THOUSAND, MILLION],
    [THOUSAND, 10 * THOUSAND, 100 * THOUSAND, MILLION],
    [MILLION, 3 * MILLION, 10 * MILLION, 30 * MILLION],
)
FULL = replace(
    DEFAULT,
    held=replace(DEFAULT.held, events=10 * MILLION),
    events=[*DEFAULT.events, 100 * MILLION],
    minutes=math.inf,
)
QUICK = Plan(
    Size(10 * THOUSAND, 10 * THOUSAND, 200 * THOUSAND),
    [THOUSAND, 10 * THOUSAND, 100 * THOUSAND],
    [THOUSAND, 10 * THOUSAND],
    [100 * THOUSAND, 200 * THOUSAND, MILLION],
    requests=15,
)


@dataclass
class Found:
    """What was measured, and why some sizes were not."""

    metrics: dict[Size, Metrics] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    checked: str = ""
    seconds: dict[Size, float] = field(default_factory=dict)

    def sizes(self, plan: Plan, direction: str) -> list[Size]:
        """The sizes in a direction that were measured."""
        return [size for size in plan.sizes(direction) if size in self.metrics]

    def measure(self, size: Size, requests: int, parent: Path | None, *, check: bool) -> None:
        """Fills a shop, measures it, and removes it."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            metrics: Metrics = {}
            for step in ("fill", "measure", *(["check"] if check else [])):
                metrics |= one_size.run(step, Path(folder, "data"), size, requests)
        if check:
            self.checked = (
                f"`alsobought check` of the smallest shop, {in_words(size)}: {metrics['tables'][0]:,} tables,"
                f" {metrics['rows compared'][0]:,} rows, all equal to a recompute from the events."
            )
        self.metrics[size], self.seconds[size] = metrics, time.monotonic() - started

    def reason_against(self, size: Size, seconds: float, free: float) -> str:
        """Why a size is not measured, judged by the largest one so far; or an empty string."""
        last = max((known for known in self.metrics if known.events <= size.events), key=_events, default=None)
        time_of_event, bytes_of_event = SECONDS_OF_AN_EVENT, BYTES_OF_AN_EVENT
        if last:
            time_of_event = TIME_FACTOR * self.seconds[last] / last.events
            bytes_of_event = 1e6 * self.metrics[last]["megabytes on disk"][0] / last.events
        needed = DISK_FACTOR * bytes_of_event * size.events + MIN_FREE_BYTES
        if needed > free:
            return f"it needs {needed / 1e9:,.0f} GB of disk while it merges; {free / 1e9:,.0f} GB are free"
        if time_of_event * size.events > seconds:
            return f"it would take about {time_of_event * size.events / 60:,.0f} minutes (--minutes, --full)"
        return ""


def run(plan: Plan, to: Path, parent: Path | None) -> Found:
    found, started = Found(), time.monotonic()
    sizes = list(dict.fromkeys([plan.held, *itertools.chain(*map(plan.sizes, DIRECTIONS))]))
    smallest = min(sizes, key=lambda size: (size.events, size.items, size.users))
    for number, size in enumerate(sizes, 1):
        left = 60 * plan.minutes - (time.monotonic() - started)
        reason = found.reason_against(size, left, shutil.disk_usage(parent or tempfile.gettempdir()).free)
        if not reason:
            out.print(f"{number} of {len(sizes)}: {in_words(size)} …")
            try:
                found.measure(size, plan.requests, parent, check=size == smallest)
            except RuntimeError as error:
                reason = str(error)
        if reason:
            out.print(f"{number} of {len(sizes)}: {in_words(size)} left out: {reason}")
            found.left_out.append(f"{in_words(size)}: {reason}.")
        plot(found, plan, to / "scale.svg")
        (to / "scale.md").write_text(page(found, plan))
    return found


def _events(size: Size) -> int:
    return size.events


def in_words(size: Size) -> str:
    return f"{short(size.items)} items, {short(size.users)} users, {short(size.events)} events"


def table(found: Found, plan: Plan, direction: str) -> str:
    sizes = found.sizes(plan, direction)
    numbers = [getattr(size, direction) for size in sizes]
    lines = [f"| | {' | '.join(map(short, numbers))} | growth |", "|---" * (len(sizes) + 2) + "|"]
    for name in MILLISECONDS + NUMBERS:
        values = [found.metrics[size][name] for size in sizes]
        cells = " | ".join(map(cell, values))
        lines.append(f"| {name} | {cells} | {growth(numbers, [value[0] for value in values])} |")
    merges = [found.metrics[size]["seconds of merges meanwhile"] for size in sizes]
    lines.append(f"| seconds of merges meanwhile, CPU | {' | '.join(map(cell, merges))} | |")
    per_million = [[1e6 * found.metrics[size]["megabytes on disk"][0] / size.events] for size in sizes]
    lines.append(f"| megabytes on disk for each million events | {' | '.join(map(cell, per_million))} | |")
    active = [found.metrics[size]["users and items with events"] for size in sizes]
    lines.append(f"| users · items with events | {' | '.join(' · '.join(map(count_cell, one)) for one in active)} | |")
    return "\n".join(lines)


def verdict(found: Found, plan: Plan) -> str:
    steps = []
    for direction in DIRECTIONS:
        sizes = found.sizes(plan, direction)
        for name in MILLISECONDS + NUMBERS:
            costs = [found.metrics[size][name][0] for size in sizes]
            steps += [
                f"* {name}, {direction} {step}"
                for step in steep_steps([getattr(size, direction) for size in sizes], costs)
            ]
    if steps:
        return "\n".join(["Steps that grew more than n log n:", "", *steps])
    return "**No step grew more than n log n**, which is a little more than twice for each doubling."


def plot(found: Found, plan: Plan, path: Path) -> None:
    """CPU time against the size, in each direction."""
    figure, all_axes = svg_figure(10, 4, len(DIRECTIONS))
    for direction, axes in zip(DIRECTIONS, all_axes, strict=True):
        sizes = found.sizes(plan, direction)
        for name in PLOTTED:
            cpu = [found.metrics[size][name][0] for size in sizes]
            axes.plot([getattr(size, direction) for size in sizes], cpu, marker="o", markersize=3, label=name)
        axes.set(xscale="log", yscale="log", xlabel=TITLES[direction].lower())
    all_axes[0].set_ylabel("milliseconds of CPU")
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="upper center", ncols=4, fontsize="small")
    save(figure, path, top=0.86)


def page(found: Found, plan: Plan) -> str:
    sections = []
    for direction in DIRECTIONS:
        held = " and ".join(f"{short(getattr(plan.held, name))} {name}" for name in DIRECTIONS if name != direction)
        if len(found.sizes(plan, direction)) > 1:
            sections += [f"## {TITLES[direction]}", "", f"With {held}.", "", table(found, plan, direction), ""]
    if found.left_out:
        sections += ["## Left out", "", *(f"* {reason}" for reason in found.left_out), ""]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    machine = (
        f"{os.cpu_count()} cores, {memory:.0f} GB of memory, Python {platform.python_version()}, chDB in the process"
    )
    return f"""# How cost grows with the shop

Written by `python -m benchmarks.scale` on {datetime.now(UTC):%Y-%m-%d}: {machine}.
Synthetic shops (`benchmarks/synthetic.py`): items by Zipf's law with exponent 0.9, users with log-normal
activity, visits of four views and eight purchases, spread over a year.

Cells with three numbers are milliseconds: the median of CPU · the median of wall time · its 99th
percentile (of 50 the slowest), over {plan.requests} first answers, none from a cache.
A joint query asks for {one_size.KEYS} keys at once. A post counts until all views have it, and the rows
of serving tables are made again that it touches. *Seconds to fill* are CPU · wall, merges and
serving tables included; those for the serving tables are without merges. The machine may be busy:
compare CPU times.
*Growth* is that of the first number, and its steepest step, for each doubling of the size.

{verdict(found, plan)}

{found.checked}

![CPU time against the size](scale.svg)

{chr(10).join(sections)}
{LESSONS}"""


LESSONS = """## What grows, and why

As of 2026-11-29, up to 10 million events.

* `also_bought`, `bought_together`, `for_you` and `recently_viewed` read one row for each item or user,
  which holds at most 300 companions, 50 wishes, or what the user did. So they hardly grow with anything,
  but for users with a long history. Joint queries probably differ by how many lists are too short and need a fallback.
* `trending` and `popular` read the rows of four weeks in `item_hours` and `daily_popularity`. These grow with the
  events of the weeks, until each item has a row for each hour or day.
* A post of 1,000 events touches some 600 items. Of 1 s of CPU, 0.55 s makes their rows in `item_companions` from all
  their pairs in `co_baskets`, and a popular item has more pairs with each order until it has met all others. The
  views take 0.14 s, about as for a post of ten: the analysis of their text. Why a post of ten costs 2.2 times as much
  at 10 million events was not looked into.
* The dictionaries are reloaded as a whole, in the thread of the writer. That is linear in the catalogue, and
  with a million items it takes seconds: `item_demand` is therefore reloaded for 2 % of the time at most, but
  `catalogue` whenever an event has an item that it lacks.
* The time to fill grows more than n log n, by merges: without them a million events take 19, 15 and 17 s of CPU at 1, 3
  and 10 million, with them 19, 23 and 30. With 4 batches of 250,000 hardly anything is merged, with 40 most rows several
  times. Merges should add log b for b batches, so that the excess ends; 30 and 100 million have not shown it yet.
* For a batch of 250,000 the histories of orders and buyers are read as a whole: their keys are hashes, and each granule
  has some. At 3 million events a batch took 2.9 s of CPU, at first 2.3; how much of it is this was not measured.
* A million events are 83,000 visits, so that of a million users only 76,000 have events: the direction of users is
  shown in full only with more events (`--full` holds 10 million).
* The table `user_history` was made whole in parts of a million rows, each a range of hashes, for which all users
  are read: with n events n parts of n rows. A million rows in 80 parts took 11.8 s of CPU. Now parts are ranges of
  ids, which the index finds, and the same takes 5.9 s. Extrapolated to 100 million events, that was five times the rest.
  `alsobought check` still compares that table by hashes.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="small shops and few requests, some minutes")
    extent.add_argument("--full", action="store_true", help="up to 100 million events, however long it takes")
    parser.add_argument("--events", type=int, metavar="N", help="at most so many events")
    parser.add_argument("--minutes", type=float, metavar="N", help="leave out sizes that would not fit into this time")
    parser.add_argument("--folder", type=Path, help="where to put the shops meanwhile; by default the temporary folder")
    parser.add_argument("--to", type=Path, default=HERE, help="where to write scale.md and scale.svg")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL if arguments.full else DEFAULT
    plan = replace(plan, minutes=arguments.minutes or plan.minutes)
    run(plan.up_to(arguments.events) if arguments.events else plan, arguments.to, arguments.folder)


if __name__ == "__main__":
    main()
