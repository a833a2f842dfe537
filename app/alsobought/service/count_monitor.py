"""Compare the count tables of a running service with the events, for the monitor."""

from __future__ import annotations

import threading
from functools import partial

from alsobought.counts.consistency import Checked, check, sample_of
from alsobought.counts.sum_checks import wrong_sums
from alsobought.service.maintenance import run_task
from alsobought.storage.retention import horizon
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.writer import Writer

SAMPLE = "1%"


class Stopped(Exception):
    """The service stops while a sample is being compared."""


class CountMonitor:
    """For one writer. `checked` is the result of the last sample."""

    def __init__(self, writer: Writer, stopped: threading.Event) -> None:
        self._writer, self._settings, self._stopped = writer, writer.settings, stopped
        self._warehouse = writer.warehouse.another()
        self._sums: list[str] = []
        self._sample = sample_of(SAMPLE)
        self.checked: Checked | None = None

    @property
    def alarms(self) -> list[str]:
        wrong = self.checked.wrong if self.checked else []
        return [*self._sums, *(f"rows of {table} differ from a recompute of the events" for table in wrong)]

    def compare_sums(self) -> None:
        """Skipped while the writer has stopped."""
        if self._writer.alive:
            self._writer.run(MaintenanceTask(self._compare_sums)).result()

    def compare_sample(self) -> None:
        """Uses one thread, so that answers keep the other cores. Raises Stopped."""
        if not self._writer.alive:
            return
        if not (self.checked and self.checked.wrong):
            self._sample = sample_of(SAMPLE)
        run, folder = partial(run_task, self._writer), self._settings.home_folder / "sql" / "checks"
        self.checked = check(
            self._warehouse, run, folder, self._sample, name="monitor", threads=1, progress=self._raise_if_stopped
        )

    def close(self) -> None:
        self._warehouse.close()

    def _raise_if_stopped(self, _done: int, _total: int) -> None:
        if self._stopped.is_set():
            raise Stopped

    def _compare_sums(self) -> None:
        """Skipped while recovery is pending (a view may lack a batch), or once events have expired."""
        writer = self._writer
        if not writer.dirty and not horizon(writer.warehouse, self._settings, writer.clock()):
            self._sums = wrong_sums(writer.warehouse, self._settings.home_folder / "sql" / "sums.sql")
