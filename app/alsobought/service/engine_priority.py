"""Let the threads that speak HTTP run before those of the embedded engine.

The engine keeps all cores busy under load. A Python thread that holds the interpreter's lock then waits for a core while all
other Python threads wait for the lock, and cached answers take as long as queries. So the engine's own threads get a lower
priority. That needs no privileges; the other direction would.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

NICENESS = 4
CHECK_SECONDS = 1.0  # the engine starts threads when it needs them
TASKS = Path("/proc/self/task")


class EnginePriority:
    """A thread that looks for new threads of the engine. Does nothing where there is no /proc."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._done: set[int] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-priority", daemon=True)

    def start(self) -> None:
        if TASKS.is_dir():
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def lower(self) -> None:
        """Lower the priority of all threads that Python has not started, once they were seen at two calls.

        Python does not know a thread that it is just starting.
        """
        threads = {int(task.name) for task in TASKS.iterdir()}
        engine = threads - {thread.native_id for thread in threading.enumerate()}
        for thread in (engine & self._seen) - self._done:
            with suppress(OSError):  # it has ended
                os.setpriority(os.PRIO_PROCESS, thread, NICENESS)
        self._done, self._seen = engine & self._seen, engine

    def _run(self) -> None:
        while not self._stopped.wait(CHECK_SECONDS):
            self.lower()
