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

from alsobought.counts.consistency import Checked
from alsobought.errors import AlsoboughtError
from alsobought.kafka.ingest_status import Status, status
from alsobought.service.count_monitor import CountMonitor, Stopped
from alsobought.service.online_learning import OnlineLearning
from alsobought.service.upkeep import Upkeep
from alsobought.service.vitals import Vitals
from alsobought.writer.sharded import AnyWriter, writers_of

log = logging.getLogger(__name__)

STATUS_SECONDS, SUMS_SECONDS = 15.0, 600.0


class Monitor:
    """`refresh` once, or `start` a thread that refreshes at intervals. Of a cluster, it watches each shard."""

    def __init__(self, writer: AnyWriter) -> None:
        self._writer, self._settings = writer, writer.settings
        self._warehouse = writer.warehouse.another()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._counts = [CountMonitor(one, self._stopped) for one in writers_of(writer)]
        self._upkeeps = [Upkeep(one, one.warehouse.another()) for one in writers_of(writer)]
        self.online = OnlineLearning(writer)
        self.status: Status | None = None
        self.vitals = Vitals(self._warehouse, self._settings.min_free_bytes)

    @property
    def alarms(self) -> list[str]:
        of_shards = [
            alarm if len(self._counts) == 1 else f"shard {number}: {alarm}"
            for number, (counts, upkeep) in enumerate(zip(self._counts, self._upkeeps, strict=True), 1)
            for alarm in [*counts.alarms, *upkeep.alarms]
        ]
        return [*of_shards, *(self.status.alarms if self.status else [])]

    @property
    def checked(self) -> Checked | None:
        """The result of the last sample of counts: of the shards, the first one with wrong rows."""
        results = [counts.checked for counts in self._counts]
        return next((checked for checked in results if checked and checked.wrong), results[0])

    @property
    def upkeep(self) -> Upkeep:
        """Of the first shard."""
        return self._upkeeps[0]

    def start(self) -> None:
        for upkeep in self._upkeeps:
            upkeep.start()
        self.online.start()
        self._thread.start()

    def stop(self) -> None:
        for upkeep in self._upkeeps:
            upkeep.stop()
        self.online.stop()
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for counts in self._counts:
            counts.close()
        self._warehouse.close()

    def refresh(self, *, sums: bool = True, sample: bool = False) -> None:
        """Renew the vitals, the Kafka status and the chosen checks. Raises WarehouseFault."""
        before = self.alarms
        self.vitals.refresh()
        if self._settings.kafka:
            self.status = status(self._warehouse, self._settings, self._writer.clock)
        for counts in self._counts:
            if sums:
                counts.compare_sums()
            if sample:
                counts.compare_sample()
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
            except Stopped:
                return


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
