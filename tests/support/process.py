"""Runs commands in their own processes, for tests."""

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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from alsobought.failpoints import VARIABLE as FAILPOINT
from tests.support.forks import Fork, Parent
from tests.support.project import ROOT

# Drops the capabilities by which root reads and writes files whatever their modes.
UNPRIVILEGED = """
import ctypes, os, sys
for capability in (1, 2):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "alsobought", *sys.argv[1:]])
"""


# A warehouse that rejects every batch of events after the first few.
REJECTING = """
import sys
from alsobought.cli import main
from alsobought.errors import NotStored
from alsobought.storage.clickhouse import ClickHouseWarehouse
insert, remaining = ClickHouseWarehouse.insert, [int(sys.argv.pop(1))]
def reject(self, table, *arguments, **keywords):
    remaining[0] -= table == "events"
    if remaining[0] < 0:
        raise NotStored("Cannot reserve 14.62 MiB, not enough space. (NOT_ENOUGH_SPACE)")
    insert(self, table, *arguments, **keywords)
ClickHouseWarehouse.insert = reject
main.main()
"""


# Short timeouts for an unreachable Kafka and for slow callers.
SHORT_TIMEOUTS = """
from alsobought.cli import main
from alsobought.kafka import client
from alsobought.web import server, worker
from alsobought.web.http.limits import Limits
client.REQUEST_SECONDS, worker.LIMITS, server.HUNG_SECONDS = 1.0, Limits(head=3.0, transfer=3.0), 4
main.main()
"""


@dataclass(frozen=True)
class CompletedRun:
    status: int | None
    out: str
    err: str


@dataclass(frozen=True)
class Run:
    """`run("migrate", "up")` runs `alsobought migrate up` with these settings only."""

    settings: dict[str, str] = field(default_factory=dict)
    start: tuple[str, ...] = ("-m", "alsobought")
    folder: Path | None = None  # the working directory
    timeout: float = 60.0

    def at(self, home: Path) -> Run:
        """The same with another project folder."""
        return replace(self, settings={**self.settings, "ALSOBOUGHT_HOME": str(home)})

    def __call__(self, *words: object, **settings: str) -> CompletedRun:
        return self._run(self.start, words, settings)

    def with_input(self, text: str, *words: object, **settings: str) -> CompletedRun:
        """Runs with this text on standard input."""
        return self._run(self.start, words, settings, text)

    def unprivileged(self, *words: object, **settings: str) -> CompletedRun:
        """Runs as a user for whom file modes apply."""
        return self._run(("-c", UNPRIVILEGED), words, settings)

    def rejecting_inserts(self, after: int) -> Run:
        """The same on a warehouse that rejects events after this many batches."""
        return replace(self, start=("-c", REJECTING, str(after)))

    def with_short_timeouts(self) -> Run:
        """The same with short timeouts for an unreachable Kafka and for slow callers."""
        return replace(self, start=("-c", SHORT_TIMEOUTS))

    def python(self, text: str) -> str:
        """The output of a program, which must succeed."""
        ran = self._run(("-c", textwrap.dedent(text)), (), {})
        assert ran.status == 0, ran.err
        return ran.out

    def environment(self, settings: dict[str, str]) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return {**_without_settings(outside), "PYTHONPATH": str(ROOT), "COLUMNS": "200", **self.settings, **settings}

    def _run(
        self, start: tuple[str, ...], words: tuple[object, ...], settings: dict[str, str], text: str | None = None
    ) -> CompletedRun:
        command, environment = [*start, *map(str, words)], self.environment(settings)
        if start[-1] != UNPRIVILEGED and (parent := parent_of_forks(environment)):
            return self._fork(parent, command, environment, text)
        completed = subprocess.run(
            [sys.executable, *command],
            capture_output=True,
            text=True,
            input=text,
            timeout=self.timeout,
            check=False,
            env=environment,
            cwd=self.folder,
        )
        return CompletedRun(completed.returncode, completed.stdout, completed.stderr)

    def _fork(self, parent: Parent, command: list[str], environment: dict[str, str], text: str | None) -> CompletedRun:
        with ExitStack() as stack:
            given, out, err = (stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(3))
            given.write(text or "")
            given.seek(0)
            fork = parent.fork(command, environment, self.folder or Path.cwd(), (given, out, err))
            try:
                fork.wait(self.timeout)
            finally:
                fork.kill()
            out.seek(0)
            err.seek(0)
            return CompletedRun(fork.returncode, out.read(), err.read())


_parents: list[Parent] = []


def parent_of_forks(environment: dict[str, str]) -> Parent | None:
    """The parent of all forks of this process, if one of its forks can have this environment: other settings only."""
    if FAILPOINT in environment:
        return None  # which is read when the program is imported
    if not _parents:
        _parents.append(Parent(_without_settings(Run().environment({}))))
    return _parents[0] if _without_settings(environment) == _parents[0].environment else None


def _without_settings(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("ALSOBOUGHT_")}


def end_forks() -> None:
    """No more commands follow."""
    while _parents:
        _parents.pop().end()


def running(data: Path, **settings: str) -> Run:
    """Commands on this data folder, with a free port."""
    return Run({"ALSOBOUGHT_DATA": str(data), "ALSOBOUGHT_PORT": str(free_port()), **settings}, folder=data.parent)


def free_port() -> int:
    with socket.socket() as unbound:
        unbound.bind(("127.0.0.1", 0))
        port: int = unbound.getsockname()[1]
        return port


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def assert_error(ran: CompletedRun, *parts: str) -> None:
    """Asserts that the command failed with exactly one line on standard error, which contains all parts."""
    assert ran.status not in (0, None)
    errors = [line for line in ran.err.splitlines() if not line.startswith("big.ndjson ━")]  # a progress bar
    assert len(errors) == 1, ran.err
    assert errors[0].startswith("alsobought: ")
    for part in parts:
        assert part in ran.err
    assert "Traceback" not in ran.err


@dataclass(frozen=True)
class ServedProcess:
    """A running service."""

    process: subprocess.Popen[str] | Fork
    url: str

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body of a GET, or with `body` of a POST of this JSON."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data), timeout=30) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def stop(self) -> float:
        """Stops the process by SIGTERM; returns the seconds until it ended."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return time.monotonic() - started


@contextmanager
def started(run: Run, *words: str) -> Iterator[subprocess.Popen[str] | Fork]:
    """Starts `alsobought serve` with these arguments, which may fail; terminates it at the end."""
    command, environment = [*run.start, "serve", *words], run.environment({})
    process: subprocess.Popen[str] | Fork
    if parent := parent_of_forks(environment):
        process = parent.fork(command, environment, Path.cwd())
    else:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONUNBUFFERED": "1"},
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
    """Starts `alsobought serve` and waits until it answers."""
    with started(run, *words) as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        assert line.startswith("Listening on http://"), line + process.stderr.read()
        yield ServedProcess(process, line.split()[-1])
