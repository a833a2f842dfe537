"""Work that a running service does by the hour: search its tables for damaged parts, take backups, and delete old ones.

The search reads every part, slowly: after each one it rests for REST times as long as that took. Parts that the engine could
not load are known at the start. A ClickHouse server searches its own parts; its backups are taken by the process that stores the
events.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from alsobought.backup.retention import backup_ids, expire, read_manifest
from alsobought.backup.stores import open_store
from alsobought.backup.take import back_up
from alsobought.console import no_bar
from alsobought.counts.rebuild import ServiceHandle
from alsobought.errors import AlsoboughtError, Busy
from alsobought.service.maintenance import run_task
from alsobought.service.remedies import Remedies
from alsobought.settings import Settings
from alsobought.storage.part_checks import BrokenPart, check_parts, parts_set_aside
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

WAKE_SECONDS = 5.0
FIRST_SCRUB_SECONDS = 60.0  # after the start
REST, MAX_REST_SECONDS = 9.0, 30.0  # a tenth of one core
RETRY_SECONDS = 600.0  # after a backup that failed
EXPIRE_SECONDS = 3600.0  # between two searches for backups past their retention


class _Stopped(Exception):
    """The service stops during the search."""


class _Handle:
    """The service, as `back_up` needs it."""

    def __init__(self, writer: Writer, warehouse: Warehouse) -> None:
        self.settings, self.warehouse = writer.settings, warehouse
        self._writer = writer

    def do(self, task: str, *arguments: Any) -> Any:
        return run_task(self._writer, task, *arguments)


class Upkeep:
    """`broken` parts, as far as the last search found; `backup_at` is the time of the newest backup."""

    def __init__(self, writer: Writer, warehouse: Warehouse) -> None:
        self._settings, self._warehouse = writer.settings, warehouse
        self._writer = writer
        self._handle: ServiceHandle = _Handle(writer, warehouse)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self.broken: list[BrokenPart] = []
        self._only_in_backups: list[str] = []
        self.scrubbed_at: datetime | None = None
        self.backup_at: datetime | None = None
        self.backup_fault = ""
        self._scrub_due = time.monotonic() + FIRST_SCRUB_SECONDS
        self._backup_due = self._expire_due = 0.0

    @property
    def alarms(self) -> list[str]:
        broken = [f"{part.message}: `alsobought doctor` has the advice" for part in self.broken]
        return [*broken, *([f"the last backup failed: {self.backup_fault}"] if self.backup_fault else [])]

    @property
    def only_in_backups(self) -> list[str]:
        """The tables with broken parts that only a backup can repair, such as `events`."""
        return self._only_in_backups

    def start(self) -> None:
        """Notes at once what the engine could not load."""
        if self._warehouse.folder:
            self._report(parts_set_aside(self._warehouse))
        if self._warehouse.folder or self._settings.backup_to:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._warehouse.close()

    def scrub(self, pause: bool = False) -> None:
        """Searches all tables. Raises WarehouseFault."""
        rest = _Rest(self._stopped) if pause else None
        broken = list(check_parts(self._warehouse, rest.take if rest else lambda: None))
        self.scrubbed_at = datetime.now(UTC)
        self._report(broken)

    def back_up(self) -> None:
        """Takes a backup to ALSOBOUGHT_BACKUP_TO."""
        settings = self._settings
        try:
            store = open_store(settings, create=True)
            manifest = back_up(self._handle, store, settings.backup_keep, no_bar)
        except Busy as error:
            log.info("no backup now: %s", error)
        except AlsoboughtError as error:
            self.backup_fault = str(error)
            log.error("the backup failed: %s", error)
        else:
            self.backup_at, self.backup_fault = manifest.created_at, ""
            log.info("backup %s to %s: %d new bytes", manifest.id, store.name, manifest.new_bytes)

    def expire(self) -> None:
        """Deletes the backups in ALSOBOUGHT_BACKUP_TO that are past their retention."""
        settings = self._settings
        with suppress(Busy):  # the backup that is being taken does it
            expire(open_store(settings, create=True), settings.backup_keep, settings.backup_retention_days)

    def _run(self) -> None:
        settings = self._settings
        if settings.backup_hours:
            self._backup_due = time.monotonic() + self._seconds_to_backup(settings)
        while not self._stopped.wait(WAKE_SECONDS):
            try:
                now = time.monotonic()
                if settings.scrub_hours and now >= self._scrub_due and self._warehouse.folder:
                    self._scrub_due = now + 3600 * settings.scrub_hours
                    self.scrub(pause=True)
                if not self._writer.alive:
                    continue
                if settings.backup_hours and now >= self._backup_due:
                    self._back_up_if_due(settings)
                if settings.backup_to and settings.backup_retention_days and now >= self._expire_due:
                    self._expire_due = now + EXPIRE_SECONDS
                    self.expire()
            except _Stopped:
                return
            except AlsoboughtError as error:
                log.warning("upkeep failed: %s", error)

    def _back_up_if_due(self, settings: Settings) -> None:
        """Of several processes that store events, one takes the backup, and the others see it."""
        if (seconds := self._seconds_to_backup(settings)) == 0:
            self.back_up()
            seconds = RETRY_SECONDS if self.backup_fault else 3600.0 * settings.backup_hours
        self._backup_due = time.monotonic() + seconds

    def _seconds_to_backup(self, settings: Settings) -> float:
        """Until the next backup is due, after the newest one that there is."""
        try:
            store = open_store(settings, create=True)
            if backup_ids(store):
                self.backup_at = read_manifest(store).created_at
            self.backup_fault = ""
        except AlsoboughtError as error:
            self.backup_fault = str(error)
            log.error("backups cannot be taken: %s", error)
        if self.backup_at is None:
            return 0.0
        age = (datetime.now(UTC) - self.backup_at).total_seconds()
        return max(0.0, 3600 * settings.backup_hours - age)

    def _report(self, broken: list[BrokenPart]) -> None:
        remedies = Remedies.of(self._warehouse, self._settings.home_folder) if broken else Remedies()
        for part in broken:
            if part not in self.broken:
                log.error("%s. %s", part.message, remedies.advice(part.table))
        self.broken = sorted(broken)
        self._only_in_backups = sorted({part.table for part in broken if remedies.needs_backup(part.table)})


class _Rest:
    """Rests before each part, in proportion to what the one before took."""

    def __init__(self, stopped: threading.Event) -> None:
        self._stopped, self._since = stopped, time.monotonic()

    def take(self) -> None:
        took = time.monotonic() - self._since
        if self._stopped.wait(min(MAX_REST_SECONDS, REST * took)):
            raise _Stopped
        self._since = time.monotonic()
