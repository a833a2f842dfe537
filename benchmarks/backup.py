"""Measure a restore drill on the year: backups beside a running service, verify, restore, check, and the search for damage.

    .venv/bin/python -m benchmarks.backup [FOLDER]

FOLDER is a data folder of the year, which is copied; without it, the year is loaded first. Writes backup.md.
The object storage is a server in this process: its own CPU is in the numbers, and no network is.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.s3_server import BUCKET, s3_server

HERE = Path(__file__).resolve().parent
NEW_EVENTS = 10_000
COMMAND = [sys.executable, "-m", "alsobought"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _environment(folder)
        if sys.argv[1:]:
            ignored = shutil.ignore_patterns(".holder", "*.sock", "status")
            shutil.copytree(sys.argv[1], folder / "year", symlinks=True, ignore=ignored)
        else:
            _load(folder / "year")
        lines = ["| task | seconds | MB | |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in _drill(folder, environment)]
    text = [
        "# Back up and restore",
        "",
        f"`python -m benchmarks.backup`, {datetime.now(UTC):%Y-%m-%d}, 2 cores, Python {platform.python_version()};",
        "the year of the Complete Journey, 1,443,245 purchases. The backups were taken beside a running service.",
        "",
        *lines,
        "",
    ]
    (HERE / "backup.md").write_text("\n".join(text))
    print("\n".join(lines))


def _drill(folder: Path, environment: dict[str, str]) -> Iterator[list[str]]:
    with _serving(environment):
        yield _backup("first backup", environment)
        _run(environment, "load", "events", str(_new_events(folder)))
        yield _backup(f"backup after {NEW_EVENTS:,} more events", environment)
        yield _backup("backup with nothing new", environment)
    _, seconds = _run(environment, "verify")
    yield ["verify, three backups", f"{seconds:.1f}", "", "every file read, every hash compared"]
    into = folder / "restored"
    _, seconds = _run(environment, "restore", "--into", str(into), "--no-check")
    yield [
        "restore, without the check",
        f"{seconds:.1f}",
        _megabytes(_size(into)),
        "every hash compared, opened, released",
    ]
    restored = environment | {"ALSOBOUGHT_DATA": str(into)}
    out, seconds = _run(restored, "check", "--json")
    rows = sum(table["rows"] for table in json.loads(out)["tables"])
    yield ["check", f"{seconds:.1f}", "", f"{rows:,} rows equal a recompute"]
    _, seconds = _run(restored, "repair")
    yield ["repair, with nothing to mend", f"{seconds:.1f}", "", "every part read"]
    with s3_server() as server:
        bucket = environment | server.environment | {"ALSOBOUGHT_BACKUP_TO": f"s3://{BUCKET}/year"}
        yield _backup("backup to object storage", bucket)
        _, seconds = _run(bucket, "verify")
        yield ["verify, one backup there", f"{seconds:.1f}", "", "every object read, every hash compared"]


def _backup(title: str, environment: dict[str, str]) -> list[str]:
    out, _ = _run(environment, "backup", "take", "--json")
    backup: dict[str, Any] = json.loads(out)
    whole, new = _megabytes(backup["bytes"]), _megabytes(backup["new_bytes"])
    pause = f"the writer paused for {backup['pause_seconds'] * 1000:.0f} ms"
    return [title, f"{backup['seconds']:.1f}", new, f"new of {whole} MB in {backup['files']:,} files; {pause}"]


def _run(environment: dict[str, str], *words: str) -> tuple[str, float]:
    """The output of a command, and its seconds, those of starting it included."""
    started = time.perf_counter()
    done = subprocess.run([*COMMAND, *words], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout, time.perf_counter() - started


@contextmanager
def _serving(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen([*COMMAND, "serve"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout  # noqa: S101
        process.stdout.readline()
        yield
    finally:
        process.terminate()
        process.wait()


def _environment(folder: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("ALSOBOUGHT_")}
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        port = unbound.getsockname()[1]
    return others | {
        "ALSOBOUGHT_DATA": str(folder / "year"),
        "ALSOBOUGHT_BACKUP_TO": str(folder / "backups"),
        "ALSOBOUGHT_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }


def _load(folder: Path) -> None:
    from rich.console import Console

    from alsobought.demo.load import load_demo
    from alsobought.settings import Settings

    load_demo(Settings(data=str(folder)), "journey", Console(stderr=True))


def _new_events(folder: Path) -> Path:
    path = folder / "new.ndjson"
    with path.open("w") as file:
        for number in range(NEW_EVENTS):
            order = number // 5
            event = {"event_id": f"new-{number}", "event_type": "purchase", "user_id": f"new-{order % 800}"}
            event |= {
                "item_id": str(number * 7 % 3000),
                "order_id": f"new-{order}",
                "timestamp": "2026-11-29T12:00:00Z",
            }
            file.write(json.dumps(event) + "\n")
    return path


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _megabytes(number: int) -> str:
    return f"{number / 1e6:,.1f}" if number < 10e6 else f"{number / 1e6:,.0f}"


if __name__ == "__main__":
    main()
