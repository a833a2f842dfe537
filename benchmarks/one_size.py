"""Fill and measure a shop of one size: answers, joint queries, posts, memory, disk. `benchmarks.scale` runs it for many sizes.

    .venv/bin/python -m benchmarks.one_size fill|measure|check FOLDER ITEMS USERS EVENTS

Each step is a process of its own, which has its own memory, and prints a JSON object: the numbers of a metric under its name.
Milliseconds of CPU are those of the whole process, the engine and Python, but for merges: these go on in the background, now and
then for seconds, whatever is measured. The CPU time of a fill has them.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from alsobought.console import err, progress_bar
from alsobought.counts.consistency import check
from alsobought.errors import AlsoboughtError
from alsobought.events import Event
from alsobought.service.maintenance import finish_serving_tables
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import answer
from alsobought.settings import Settings
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.writer.submission import MaintenanceTask, Submission
from benchmarks import synthetic
from benchmarks.synthetic import Size
from benchmarks.traffic import memory_of

HERE = Path(__file__).resolve().parent
REQUESTS, JOINT_REQUESTS, POSTS = 50, 7, 6  # of which the medians are taken; the last two at most as many as the first
WARM_UP = 3
KEYS = 64
PIPES = ("also_bought", "for_you", "trending", "popular", "recently_viewed", "bought_together")
POST_SIZES = (10, 1_000)
MERGE_SECONDS = 60.0  # to wait for merges, so that they do not disturb what is measured
PAUSE_SECONDS = 0.4  # between posts: the writer keeps small batches at a distance
SETTLE_SECONDS = 120.0

Metrics = dict[str, list[float]]
"""For an action the medians of CPU and of wall time, and the 99th percentile of the latter, in milliseconds; else one number."""


def run(step: str, folder: Path, size: Size, requests: int = REQUESTS) -> Metrics:
    """Runs a step in a process of its own. Raises RuntimeError with its last words if it fails."""
    command = [sys.executable, "-m", "benchmarks.one_size", step, str(folder)]
    command += map(str, (size.items, size.users, size.events, requests))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ALSOBOUGHT_")}
    process = subprocess.run(command, stdout=subprocess.PIPE, check=False, cwd=HERE.parent, env=environ)
    if process.returncode:
        raise RuntimeError(f"{step} ended with {process.returncode}")
    metrics: Metrics = json.loads(process.stdout)
    return metrics


def timed(actions: Sequence[Callable[[], object]], warm_up: int = WARM_UP, pause: float = 0.0) -> list[float]:
    """Each action once; without the first ones."""
    cpu, wall = [], []
    for action in actions:
        time.sleep(pause)
        merges = merge_seconds()
        started, cpu_started = time.perf_counter(), time.process_time()
        action()
        wall.append(1e3 * (time.perf_counter() - started))
        cpu_seconds = time.process_time() - cpu_started
        cpu.append(1e3 * max(0.0, cpu_seconds - (merge_seconds() - merges)))
    cpu, wall = cpu[warm_up:], sorted(wall[warm_up:])
    return [statistics.median(cpu), statistics.median(wall), wall[int(len(wall) * 0.99)]]


def merge_seconds() -> float:
    """The CPU time of the engine's threads that merge parts."""
    ticks = 0
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            name, _, fields = (thread / "stat").read_text().partition("(")[2].rpartition(")")
            if name == "MergeMutate":
                ticks += sum(map(int, fields.split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _fill(service: Service, size: Size, _: int) -> Metrics:
    started, cpu_started, merged_before = time.perf_counter(), time.process_time(), merge_seconds()
    with progress_bar(err, "Filling", size.events, "events") as advance:
        synthetic.fill(service, size, advance)
    stored, cpu_stored, merged = time.perf_counter(), time.process_time(), merge_seconds()
    finish_serving_tables(service.do, partial(progress_bar, err))
    cpu_ended, ended, merged_after = time.process_time(), time.perf_counter(), merge_seconds()
    _wait_for_merges(service)
    return {
        "seconds to fill": [cpu_ended - cpu_started, ended - started],
        "seconds for the serving tables": [
            cpu_ended - cpu_stored - (merged_after - merged),
            ended - stored,
        ],
        "seconds of merges meanwhile": [merged_after - merged_before],
        "megabytes on disk": [_bytes_on_disk(service) / 1e6],
        "peak megabytes": [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024],
    }


def _measure(service: Service, size: Size, requests: int) -> Metrics:
    active = f"select uniqExact(user_id), uniqExact(item_id) from {service.warehouse.database}.events"
    metrics = {"megabytes after opening": [memory_of(os.getpid())]}
    actions: dict[str, list[Callable[[], object]]] = {}
    count = WARM_UP + requests
    items = synthetic.items(service, size, 2 * count, "asked")
    users = synthetic.users(service, size, count, "asked")
    for pipe in PIPES:
        for number in range(count):
            parameters = {
                "also_bought": {"item_id": [items[number]]},
                "bought_together": {"item_id": items[2 * number : 2 * number + 2]},
                "trending": {},
                "popular": {},
            }.get(pipe, {"user_id": [users[number % len(users)]]})
            actions.setdefault(pipe, []).append(partial(_ask, service, pipe, parameters))
    for number in range(WARM_UP + min(JOINT_REQUESTS, requests)):
        keys = synthetic.items(service, size, KEYS, f"joint {number}")
        actions.setdefault(f"also_bought, {KEYS} items", []).append(
            partial(_ask, service, "also_bought", {"item_id": keys})
        )
        keys = synthetic.users(service, size, KEYS, f"joint {number}")
        actions.setdefault(f"for_you, {KEYS} users", []).append(partial(_ask, service, "for_you", {"user_id": keys}))
    with progress_bar(err, "Asking", len(actions), "metrics") as advance:
        for name, asked in actions.items():
            try:
                metrics[name] = timed(asked)
            except AlsoboughtError as error:
                err.print(f"{name}: {error}")
                metrics[name] = [float("inf")] * 3
            advance(1)
    metrics["megabytes after the answers"] = [memory_of(os.getpid())]
    first = size.events
    for events in POST_SIZES:
        posts = []
        for _ in range(1 + min(POSTS, requests)):
            posts.append(partial(_post, service, synthetic.posted_events(service, size, events, first)))
            first += -(-events // synthetic.EVENTS_OF_A_VISIT) * synthetic.EVENTS_OF_A_VISIT
        metrics[f"post of {events:,} events"] = timed(posts, 1, PAUSE_SECONDS)
    metrics["users and items with events"] = [
        float(number) for number in service.warehouse.trusted_rows(active).data[0]
    ]
    dictionaries = partial(reload_dictionaries, service.warehouse, ["catalogue", "item_demand"])
    metrics["reload of the dictionaries"] = timed([dictionaries] * 3, 0)
    return metrics


def _ask(service: Service, pipe: str, parameters: dict[str, list[str]]) -> None:
    answer(service.library, service.warehouse, pipe, parameters, service.clock())


def _post(service: Service, events: list[Event]) -> None:
    """Until the events are counted, and the rows of serving tables made that they touch."""
    writer = service.writers[0]
    writer.submit(Submission(events)).result()
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until and writer.run(MaintenanceTask(lambda: writer.serving.pending)).result():
        time.sleep(0.1)


def _check(service: Service, _: Size, __: int) -> Metrics:
    """Compares every table with a recompute from the events."""
    result = check(service.warehouse.another(), service.do, service.settings.home_folder / "sql" / "checks")
    if result.wrong:
        raise SystemExit(f"wrong: {', '.join(result.wrong)}")
    return {"rows compared": [sum(table.rows for table in result.tables)], "tables": [len(result.tables)]}


def _wait_for_merges(service: Service) -> None:
    until = time.monotonic() + MERGE_SECONDS
    while time.monotonic() < until and _number(service, "select count() from system.merges"):
        time.sleep(0.5)


def _bytes_on_disk(service: Service) -> int:
    """Of the parts that are in use, and of the tables that have no parts."""
    database = service.warehouse.database
    total = _number(service, f"select sum(bytes_on_disk) from system.parts where active and database = '{database}'")
    other = (
        f"select arrayJoin(data_paths) from system.tables where database = '{database}' and engine = 'EmbeddedRocksDB'"
    )
    for (path,) in service.warehouse.trusted_rows(other).data:
        total += sum(file.stat().st_size for file in Path(str(path)).rglob("*") if file.is_file())
    return total


def _number(service: Service, sql: str) -> int:
    return int(service.warehouse.trusted_rows(sql).data[0][0])


STEPS: dict[str, Callable[[Service, Size, int], Metrics]] = {"fill": _fill, "measure": _measure, "check": _check}


def main() -> None:
    step, folder, *numbers = sys.argv[1:]
    items, users, events, requests = map(int, numbers)
    service = open_service(Settings(data=folder, record_requests=False))
    try:
        metrics = STEPS[step](service, Size(items, users, events), requests)
    finally:
        service.close()
    json.dump(metrics, sys.stdout)


if __name__ == "__main__":
    main()
