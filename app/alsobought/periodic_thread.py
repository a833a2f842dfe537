"""A thread that does something again and again, at intervals, until it is closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from alsobought.errors import AlsoboughtError

log = logging.getLogger(__name__)


class PeriodicThread:
    """A failure is logged once, with `problem` before its reason, and not again until the action has worked."""

    def __init__(self, name: str, action: Callable[[], object], problem: str) -> None:
        self._name, self._action, self._problem = name, action, problem
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, seconds: float) -> None:
        """The action is done first after so many seconds."""
        self._thread = threading.Thread(target=self._run, args=(seconds,), name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Returns once the action does not run any more. A thread that never started may be closed too."""
        self._ended.set()
        if self._thread:
            self._thread.join()

    def _run(self, seconds: float) -> None:
        failed = False
        while not self._ended.wait(seconds):
            try:
                self._action()
                failed = False
            except AlsoboughtError as error:
                if not failed:
                    log.warning("%s: %s", self._problem, error)
                failed = True
