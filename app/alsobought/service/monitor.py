"""Monitor a running service: Kafka lag, a halted stream, missed offsets, and the count tables.

`/metrics` shows the results, and each new alarm is logged once as an error. The writer compares the
sums of the count tables between two batches, when they must agree; this is cheap. A sample of their
rows is compared as `alsobought check --sample` does, with other users and items each time; a sample
with wrong rows is compared again until they are right.
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
from alsobought.service.maintenance import run_task
from alsobought.service.upkeep import Upkeep
from alsobought.service.vitals import Vitals
from alsobought.storage.retention import horizon
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

STATUS_SECONDS, SUMS_SECONDS = 15.0, 600.0
SAMPLE = "1%"


class _Stopped(Exception):
    """The service stops while a sample is being compared."""


class Monitor:
    """`refresh` once, or `start` a thread that refreshes at intervals."""

    def __init__(self, writer: Writer) -> None:
        self._writer, self._settings = writer, writer.settings
        self._warehouse = writer.warehouse.another()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._sums: list[str] = []
        self._sample = sample_of(SAMPLE)
        self.status: Status | None = None
        self.checked: Checked | None = None
        self.upkeep = Upkeep(writer, self._warehouse.another())
        self.vitals = Vitals(self._warehouse, self._settings.min_free_bytes)

    @property
    def alarms(self) -> list[str]:
        wrong = self.checked.wrong if self.checked else []
        counts = [f"rows of {table} differ from a recompute of the events" for table in wrong]
        return [*self._sums, *counts, *(self.status.alarms if self.status else []), *self.upkeep.alarms]

    def start(self) -> None:
        self.upkeep.start()
        self._thread.start()

    def stop(self) -> None:
        self.upkeep.stop()
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._warehouse.close()

    def refresh(self, *, sums: bool = True, sample: bool = False) -> None:
        """Renew the vitals, the Kafka status and the chosen checks. Raises WarehouseFault."""
        before = self.alarms
        self.vitals.refresh()
        if self._settings.kafka:
            self.status = status(self._warehouse, self._settings, self._writer.clock)
        if sums and self._writer.alive:
            self._writer.run(MaintenanceTask(self._compare_sums)).result()
        if sample and self._writer.alive:
            self._compare_sample()
        for alarm in self.alarms:
            if alarm not in before:
                log.error("%s; for details run `alsobought ingest --status` and `alsobought check`", alarm)

    def _run(self) -> None:
        sums, sample = _Interval(SUMS_SECONDS), _Interval(self._settings.check_seconds)
        while not self._stopped.wait(STATUS_SECONDS):
            try:
                self.refresh(sums=sums.elapsed(), sample=sample.elapsed())
            except AlsoboughtError as error:
                log.warning("health check failed: %s", error)
            except _Stopped:
                return

    def _compare_sample(self) -> None:
        """Uses one thread, so that answers keep the other cores."""
        if not (self.checked and self.checked.wrong):
            self._sample = sample_of(SAMPLE)
        run, folder = partial(run_task, self._writer), self._settings.home_folder / "sql" / "checks"
        self.checked = check(
            self._warehouse, run, folder, self._sample, name="monitor", threads=1, progress=self._raise_if_stopped
        )

    def _raise_if_stopped(self, _done: int, _total: int) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def _compare_sums(self) -> None:
        """Skipped while recovery is pending (a view may lack a batch), or once events have expired."""
        writer = self._writer
        if not writer.dirty and not horizon(writer.warehouse, self._settings, writer.clock()):
            self._sums = wrong_sums(writer.warehouse, self._settings.home_folder / "sql" / "sums.sql")


class _Interval:
    """A timer that elapses every so many seconds; with 0 seconds never."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def elapsed(self) -> bool:
        """True if the interval is over; this begins the next one."""
        if not self._seconds or time.monotonic() - self._last < self._seconds:
            return False
        self._last = time.monotonic()
        return True
