"""Commands in forks of a process that has imported the program already: imports are most of a short command.

A fork has settings, a working directory, standard streams and an exit status of its own. chDB, whose threads a fork would not
have, is imported in the fork. `python -m tests.support.forks` is that process; it reads on its standard input what to fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import alsobought

REQUEST_BYTES = 1 << 17
ALSO = ("numpy", "clickhouse_connect.driver", "sqlglot.dialects.clickhouse")
NOT = ("alsobought.__main__", "alsobought.evaluation.", "alsobought.learning.")  # two import libraries with threads


class Fork:
    """A running fork, with as much of `subprocess.Popen` as tests use."""

    def __init__(self, answers: socket.socket, stdout: IO[str] | None, stderr: IO[str] | None) -> None:
        self.pid = int(answers.recv(20))
        self.stdout, self.stderr = stdout, stderr
        self.returncode: int | None = None
        self._answers = answers

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._answers.settimeout(timeout)
            self.returncode = int(self._answers.recv(20))
            self._answers.close()
        return self.returncode

    def poll(self) -> int | None:
        with suppress(BlockingIOError):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Parent:
    """The process. It and its forks have this environment, but for settings."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.support.forks"]
            environment = {**environment, "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), env=environment)

    def fork(
        self, words: Sequence[str], environment: dict[str, str], folder: Path, streams: Sequence[IO[str]] = ()
    ) -> Fork:
        """Starts `python WORDS`, which are `-m MODULE …` or `-c TEXT …`, on these standard streams, or on pipes."""
        settings = {name: value for name, value in environment.items() if name not in self.environment}
        request = json.dumps([words, settings, str(folder)]).encode()
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            if streams:
                socket.send_fds(self._requests, [request], [*(stream.fileno() for stream in streams), theirs.fileno()])
                return Fork(answers, None, None)
            (out, out_end), (err, err_end), nothing = os.pipe(), os.pipe(), os.open(os.devnull, os.O_RDONLY)
            socket.send_fds(self._requests, [request], [nothing, out_end, err_end, theirs.fileno()])
            for file in (nothing, out_end, err_end):
                os.close(file)
            return Fork(answers, os.fdopen(out), os.fdopen(err))

    def end(self) -> None:
        self._requests.close()
        self._process.wait()


def import_ahead() -> None:
    """Imports what commands import, except what starts threads."""
    for module in pkgutil.walk_packages(alsobought.__path__, "alsobought."):
        if not module.name.startswith(NOT):
            importlib.import_module(module.name)
    for name in ALSO:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lack threads"
    gc.collect()
    gc.freeze()  # pages that the forks share


def next_fork(requests: socket.socket) -> tuple[list[str], dict[str, str], str]:
    """Forks for each request, until there are no more. Returns in the forks only, with what is to run there."""
    running: dict[int, tuple[int, int]] = {}  # pidfd: the process, and where its status is awaited
    with requests, selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    pid, answers = running.pop(key.fd)
                    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with suppress(BrokenPipeError):
                        os.write(answers, str(status).encode())
                    files = [key.fd, answers]
                else:
                    request, files, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 4)
                    if not request:
                        sys.exit()
                    if not (pid := os.fork()):
                        for number in range(3):
                            os.dup2(files[number], number)
                        words, settings, folder = json.loads(request)
                        return words, settings, folder
                    answers = files.pop()
                    os.write(answers, str(pid).encode())
                    pidfd = os.pidfd_open(pid)
                    running[pidfd] = pid, answers
                    selector.register(pidfd, selectors.EVENT_READ)
                for file in files:
                    os.close(file)


def main() -> None:
    import_ahead()
    words, settings, folder = next_fork(socket.socket(fileno=os.dup(0)))
    os.closerange(3, 1024)
    del os.environ["OPENBLAS_NUM_THREADS"]
    os.environ.update(settings)
    os.chdir(folder)
    sys.path[0] = folder
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    option, what, *_ = words
    if option == "-m":
        sys.argv = words[1:]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *words[2:]]
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102


if __name__ == "__main__":
    main()
