"""Measure check, rebuild and forget on the year: seconds, and the peak memory of the process.

    .venv/bin/python -m benchmarks.upkeep [FOLDER]

FOLDER is a data folder of the year, which is copied; without it, the year is loaded first. Writes upkeep.md.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from rich.console import Console

HERE = Path(__file__).resolve().parent
USERS = 5


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        json.dump(MEASURES[sys.argv[2]](Path(sys.argv[3])), sys.stdout)
        return
    source = Path(sys.argv[1]) if sys.argv[1:] else None
    lines = ["| task | seconds | peak memory, MB | |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        year = Path(folder) / "year"
        if source:
            shutil.copytree(source, year, symlinks=True, ignore=shutil.ignore_patterns(".holder", "*.sock", "status"))
        else:
            _run("load", year)
        for name in [name for name in MEASURES if name != "load"]:
            lines += [f"| {' | '.join(map(str, row))} |" for row in _run(name, year)]
    text = [
        "# Check, rebuild, forget",
        "",
        f"`python -m benchmarks.upkeep`, {datetime.now(UTC):%Y-%m-%d}, 2 cores, Python {platform.python_version()};",
        "the year of the Complete Journey, 1,443,245 purchases; each line in a process of its own.",
        "",
        *lines,
        "",
    ]
    (HERE / "upkeep.md").write_text("\n".join(text))
    print("\n".join(lines))


def _run(name: str, folder: Path) -> list[list[Any]]:
    """Runs a measurement in a process of its own, which has its own memory."""
    command = [sys.executable, "-m", "benchmarks.upkeep", "--measure", name, str(folder)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=HERE.parent)
    rows: list[list[Any]] = json.loads(result.stdout)
    return rows


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000


def _open(folder: Path) -> Any:
    from alsobought.service.service import open_service
    from alsobought.settings import Settings

    return open_service(Settings(data=str(folder)))


def _load(folder: Path) -> list[list[Any]]:
    from alsobought.demo.load import load_demo
    from alsobought.settings import Settings

    load_demo(Settings(data=str(folder)), "journey", Console(stderr=True))
    return []


def _check(folder: Path, sample: str = "") -> list[list[Any]]:
    from alsobought.counts.consistency import check, sample_of

    service = _open(folder)
    checks = service.settings.home_folder / "sql" / "checks"
    result = check(service.warehouse.another(), service.do, checks, *([sample_of(sample)] if sample else []))
    rows = sum(table.rows for table in result.tables)
    service.close()
    title = f"check --sample {sample}" if sample else "check"
    return [
        [title, f"{result.seconds:.1f}", _peak_memory(), f"{rows:,} rows compared, {len(result.wrong)} tables wrong"]
    ]


def _rebuild(folder: Path) -> list[list[Any]]:
    from alsobought.counts.rebuild import rebuild
    from alsobought.counts.rebuild_tasks import RebuildPlan

    service = _open(folder)
    (plan,) = msgspec.convert(service.do("plan a rebuild", ["co_baskets"], ""), list[RebuildPlan])
    result = rebuild(service, plan, lambda *_: nullcontext(lambda _: None))
    service.close()
    return [["rebuild of co_baskets", f"{result.seconds:.1f}", _peak_memory(), f"from {result.events:,} events"]]


def _forget(folder: Path) -> list[list[Any]]:
    service = _open(folder)
    sql = "select user_id, count() from alsobought.events group by user_id order by count() desc, user_id"
    users = service.warehouse.trusted_rows(sql).data
    typical = users[len(users) // 2 :][: 2 * USERS + 1]
    forgotten = [_seconds(partial(service.do, "forget", user[0])) for user in typical[:USERS]]
    heaviest = _seconds(lambda: service.do("forget", users[0][0]))
    merged = [_seconds(partial(service.do, "merge", user[0], "account")) for user in typical[USERS : 2 * USERS]]
    empty_guest = _seconds(lambda: service.do("merge", "a new guest", "account"))
    service.close()
    return [
        ["forget a user, median of 5", f"{median(forgotten):.2f}", _peak_memory(), f"{typical[0][1]:,} purchases"],
        ["forget the heaviest user", f"{heaviest:.2f}", _peak_memory(), f"{users[0][1]:,} purchases"],
        ["merge a user into an account, median of 5", f"{median(merged):.2f}", _peak_memory(), "which grows each time"],
        ["merge a guest without events", f"{empty_guest:.2f}", _peak_memory(), ""],
    ]


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


MEASURES: dict[str, Callable[[Path], list[list[Any]]]] = {
    "load": _load,
    "check": _check,
    "sample": lambda folder: _check(folder, "1%"),
    "rebuild": _rebuild,
    "forget": _forget,
}

if __name__ == "__main__":
    os.environ.pop("ALSOBOUGHT_DATA", None)
    main()
