"""While the service runs: is anything of Kafka left out, how far is reading, do the counts add up, and is a sample of them right?

`status` is renewed a few times a minute, and `/metrics` shows it. Whether the counts add up is asked by the writer between two
batches, when they must; that is cheap, and rarely done. A sample is compared as `alsobought check --sample` does it, other users
and items each time; those that are wrong are looked at again until they are right. What is wrong is logged as an error, once.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from alsobought.counts.consistency import Checked, check, sample_of
from alsobought.counts.sum_checks import wrong_sums
from alsobought.errors import AlsoboughtError
from alsobought.kafka.ingest_status import Status, status
from alsobought.service.maintenance import do
from alsobought.storage.retention import horizon
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

STATUS_SECONDS, SUMS_SECONDS = 15.0, 600.0
SAMPLE = "1%"


class _Stopped(Exception):
    """The service ends before the sample does."""


class Monitor:
    """`look` at once, or `start` a thread that looks again and again."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._settings = writer, writer.settings
        self._warehouse = writer.warehouse.another()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._sums: list[str] = []
        self._sample = sample_of(SAMPLE)
        self.status: Status | None = None
        self.checked: Checked | None = None

    @property
    def alarms(self) -> list[str]:
        wrong = self.checked.wrong if self.checked else []
        counts = [f"rows of {table} are not what the events say" for table in wrong]
        return [*self._sums, *counts, *(self.status.alarms if self.status else [])]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._warehouse.close()

    def look(self, *, at_sums: bool = True, at_rows: bool = False) -> None:
        """Raises what keeps the warehouse from answering."""
        before = self.alarms
        if self._settings.kafka:
            self.status = status(self._warehouse, self._settings, self._writer.clock)
        if at_sums and self._writer.alive:
            self._writer.run(MaintenanceTask(self._add_up)).result()
        if at_rows and self._writer.alive:
            self._compare()
        for alarm in self.alarms:
            if alarm not in before:
                log.error("%s; `alsobought ingest --status` and `alsobought check` tell more", alarm)

    def _run(self) -> None:
        sums, rows = _Due(SUMS_SECONDS), _Due(self._settings.check_seconds)
        while not self._stopped.wait(STATUS_SECONDS):
            try:
                self.look(at_sums=sums.now(), at_rows=rows.now())
            except AlsoboughtError as error:
                log.warning("whether all is right could not be asked: %s", error)
            except _Stopped:
                return

    def _compare(self) -> None:
        """On one core, since answers have the others."""
        if not (self.checked and self.checked.wrong):
            self._sample = sample_of(SAMPLE)
        ask, folder = partial(do, self._writer), self._settings.home_folder / "sql" / "checks"
        self.checked = check(
            self._warehouse, ask, folder, self._sample, name="monitor", threads=1, told=self._stop_if_wanted
        )

    def _stop_if_wanted(self, _done: int, _of: int) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def _add_up(self) -> None:
        """Not while views may lack a batch, which they get before the next, and not where they count what has expired."""
        writer = self._writer
        if not writer.dirty and not horizon(writer.warehouse, self._settings, writer.clock()):
            self._sums = wrong_sums(writer.warehouse, self._settings.home_folder / "sql" / "sums.sql")


class _Due:
    """Whether so many seconds have passed since the last time they had; with 0 seconds never."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def now(self) -> bool:
        if not self._seconds or time.monotonic() - self._last < self._seconds:
            return False
        self._last = time.monotonic()
        return True
