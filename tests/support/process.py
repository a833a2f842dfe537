"""Commands in processes of their own, for tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.project import ROOT

# What root may do beyond others (read and write whatever the modes say) is laid down for good.
WEAK = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "alsobought", *sys.argv[1:]])
"""


# A warehouse that refuses every batch of events after so many.
REFUSING = """
import sys
from alsobought.cli import main
from alsobought.errors import NotStored
from alsobought.storage import warehouse
insert, left = warehouse.Warehouse.insert, [int(sys.argv.pop(1))]
def refuse(self, table, *given, **named):
    left[0] -= table == "events"
    if left[0] < 0:
        raise NotStored("Cannot reserve 14.62 MiB, not enough space. (NOT_ENOUGH_SPACE)")
    insert(self, table, *given, **named)
warehouse.Warehouse.insert = refuse
main.main()
"""


# Little patience with a Kafka that is away, and with callers who pause.
HASTY = """
from alsobought.cli import main
from alsobought.kafka import client
from alsobought.web import worker
client.ANSWER_SECONDS, worker.GATHER_SECONDS, worker.PAUSE_SECONDS = 1.0, 4.0, 2
main.main()
"""


@dataclass(frozen=True)
class Ran:
    status: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Run:
    """`run("migrate", "up")` is `alsobought migrate up` with these settings and no others."""

    settings: dict[str, str] = field(default_factory=dict)
    start: tuple[str, ...] = ("-m", "alsobought")
    folder: Path | None = None  # where it runs

    def at(self, home: Path) -> Run:
        """The same with another project folder."""
        return replace(self, settings={**self.settings, "ALSOBOUGHT_HOME": str(home)})

    def __call__(self, *words: object, **settings: str) -> Ran:
        return self._run(self.start, words, settings)

    def fed(self, text: str, *words: object, **settings: str) -> Ran:
        """The same with this text on standard input."""
        return self._run(self.start, words, settings, text)

    def weak(self, *words: object, **settings: str) -> Ran:
        """The same for a user whom the modes of files stop."""
        return self._run(("-c", WEAK), words, settings)

    def refusing(self, after: int) -> Run:
        """The same on a warehouse that refuses events after so many batches."""
        return replace(self, start=("-c", REFUSING, str(after)))

    def hasty(self) -> Run:
        """The same with little patience with a Kafka that is away, and with callers who pause."""
        return replace(self, start=("-c", HASTY))

    def python(self, text: str) -> str:
        """What a program prints that ends well."""
        ran = self._run(("-c", textwrap.dedent(text)), (), {})
        assert ran.status == 0, ran.err
        return ran.out

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("ALSOBOUGHT_")}
        return {**outside, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **self.settings, **settings}

    def _run(
        self, start: tuple[str, ...], words: tuple[object, ...], settings: dict[str, str], given: str | None = None
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, *start, *map(str, words)],
            capture_output=True,
            text=True,
            input=given,
            timeout=60,
            check=False,
            env=self.environment(settings),
            cwd=self.folder,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def running(data: Path, **settings: str) -> Run:
    """Commands on this folder, with a port that nobody has."""
    return Run({"ALSOBOUGHT_DATA": str(data), "ALSOBOUGHT_PORT": str(free_port()), **settings}, folder=data.parent)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def told(ran: Ran, *parts: str) -> None:
    """The command ended with exactly one sentence on standard error, which says all of this."""
    assert ran.status not in (0, None)
    said = [line for line in ran.err.splitlines() if not line.startswith("big.ndjson ━")]  # how far a load came
    assert len(said) == 1, ran.err
    assert said[0].startswith("alsobought: ")
    for part in parts:
        assert part in ran.err
    assert "Traceback" not in ran.err


@dataclass(frozen=True)
class ServedProcess:
    """A served shop."""

    process: subprocess.Popen[str]
    url: str

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of a GET, or of a POST of this JSON."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data), timeout=30) as got:
                return got.status, json.loads(got.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def stop(self) -> float:
        """Seconds until the process has ended after SIGTERM."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - started


@contextmanager
def started(run: Run, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`alsobought serve` with these words behind it, which may or may not come to answer; ended at the end."""
    process = subprocess.Popen(
        [sys.executable, *run.start, "serve", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**run.environment({}), "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()


@contextmanager
def serving(run: Run, *words: str) -> Iterator[ServedProcess]:
    """A service that answers."""
    with started(run, *words) as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        assert line.startswith("Listening on http://"), line + process.stderr.read()
        yield ServedProcess(process, line.split()[-1])
