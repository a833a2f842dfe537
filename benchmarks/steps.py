"""Where the time of a first answer goes, step by step, and a flame graph of the service at work.

    .venv/bin/python -m benchmarks.steps [--folder data]

The steps of the pipes of the mix are timed in this process, each pipe alone, in microseconds of CPU. The flame graph is of
the service while the mix and events arrive. Writes steps.md and steps.svg.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alsobought.pipes.parameters import values
from alsobought.serving.answers import answer, bound_sql, open_library
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from benchmarks.first_light import Service
from benchmarks.traffic import (
    EVENTS_OF_A_POST,
    EVENTS_PER_SECOND,
    Shop,
    arguments,
    attack,
    children,
    cpu_of,
    machine,
    names,
)

HERE = Path(__file__).resolve().parent
FLAMES = HERE / "steps.svg"
RUNS = 40
RATE = 50  # requests a second of the flame graph
STEPS = ("compose", "call", "parse", "analyse", "plan", "run", "rest")


def microseconds(action: Callable[[], object]) -> float:
    """The median CPU time of an action."""
    times = []
    for number in range(RUNS + 3):
        started = time.process_time()
        action()
        if number >= 3:
            times.append(1e6 * (time.process_time() - started))
    return statistics.median(times)


def steps(folder: str, items: list[str], users: list[str]) -> dict[str, list[float]]:
    """For each pipe, the microseconds of STEPS and of the whole."""
    settings = Settings(dsn=f"chdb://{Path(folder, 'journey')}", home=str(HERE.parent))
    warehouse = open_warehouse(settings, create=False)
    library = open_library(settings, warehouse)
    now = datetime.now(UTC)
    requests: dict[str, dict[str, list[Any]]] = {
        "also_bought": {"item_id": items[20:21]},
        "for_you": {"user_id": users[500:501]},
        "bought_together": {"item_id": [items[20], items[60]]},
        "recently_viewed": {"user_id": users[500:501]},
        "buy_again": {"user_id": users[500:501]},
        "trending": {},
        "popular": {},
    }
    table = {}
    call = microseconds(lambda: warehouse.raw("select 1", {}, "JSONCompact"))
    for name, raw in requests.items():

        def compose(name: str = name, raw: dict[str, list[Any]] = raw) -> tuple[str, dict[str, Any]]:
            pipe = library.answering(name, raw)
            return bound_sql(pipe, values(pipe.parameters, raw), now)

        sql, parameters = compose()

        def after(form: str, sql: str = sql, parameters: dict[str, Any] = parameters) -> float:
            return microseconds(lambda: warehouse.raw(form + sql, parameters, "JSONCompact"))

        ends = [call, after("explain ast "), after("explain query tree "), after("explain pipeline "), after("")]
        whole = microseconds(lambda name=name, raw=raw: answer(library, warehouse, name, raw, now))  # type: ignore[misc]
        composed = microseconds(compose)
        table[name] = [
            composed,
            call,
            *(max(0.0, end - start) for start, end in itertools.pairwise(ends)),
            max(0.0, whole - composed - ends[-1]),
            whole,
        ]
    return table


def flame_graph(folder: str, items: list[str], users: list[str], seconds: float) -> None:
    """Samples all threads of the service 100 times a second while the mix arrives."""
    service = Service(folder)
    try:
        shop = Shop(f"http://127.0.0.1:{service.port}", items, users, 1)
        cpu, rate = cpu_of(service.process.pid), RATE + EVENTS_PER_SECOND / EVENTS_OF_A_POST
        attack("warm-up", shop.traffic(RATE, EVENTS_PER_SECOND), rate, seconds / 2, cpu)
        worker = str(children(service.process.pid)[0])
        command = [
            str(Path(sys.executable).with_name("py-spy")),
            "record",
            "--pid",
            worker,
            "--nonblocking",
            "--function",
        ]
        command += ["--duration", f"{seconds:.0f}", "--output", str(FLAMES)]
        recording = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        attack("the mix", shop.traffic(RATE, EVENTS_PER_SECOND), rate, seconds + 2, cpu)
        if recording.wait(60):
            raise SystemExit("py-spy could not record the service")
        FLAMES.write_text(re.sub(r"[^>]*py-spy record [^<]*", "The service while the mix arrives", FLAMES.read_text()))
    finally:
        service.stop()


def page(table: dict[str, list[float]]) -> str:
    rows = "\n".join(f"| {name} | {' | '.join(f'{value:,.0f}' for value in times)} |" for name, times in table.items())
    return f"""# Where the time of a first answer goes

Written by `python -m benchmarks.steps` on {datetime.now(UTC):%Y-%m-%d}: {machine()}. The year of the Complete Journey is loaded.
Microseconds of CPU, medians of {RUNS}, each pipe alone in a process without other work.

| | {" | ".join(STEPS)} | whole |
|---|{"---|" * len(STEPS)}---|
{rows}

* *compose*: checking the parameters and rendering the SQL
* *call*: the way into the engine and back, that of `select 1`
* *parse*, *analyse*, *plan*: the engine reads the text, resolves names and types, and lays out the execution
* *run*: reading, computing and writing the rows
* *rest*: reading the rows in Python, filling the list from fallbacks, and JSON

The service while the mix arrives at {RATE}/s with {EVENTS_PER_SECOND} events/s, a frame for each function:

![flame graph](steps.svg)
"""


STEPS_IN_A_PROCESS = (
    "import sys, json; from benchmarks.steps import steps; print(json.dumps(steps(*json.loads(sys.argv[1]))))"
)


def main() -> None:
    parsed = arguments(__doc__, "steps")
    with tempfile.TemporaryDirectory() as temporary:
        folder = parsed.folder or temporary
        Service(folder).stop()  # loads the year if it is not there
        items, users = names(folder)
        # In a process of its own: an engine that has ended cannot start again, and the service needs the folder.
        command = [sys.executable, "-c", STEPS_IN_A_PROCESS, json.dumps([folder, items[:100], users])]
        table = json.loads(subprocess.run(command, capture_output=True, check=True, cwd=HERE.parent).stdout)
        flame_graph(folder, items, users, 10 if parsed.quick else 20)
    (HERE / "steps.md").write_text(page(table))


if __name__ == "__main__":
    main()
