"""What the service needs of its machine: memory, disk, an engine that answers, and learned tables that are not old.

The monitor reads them every few seconds, so that a scrape of the metrics asks neither the engine nor the disk.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from alsobought.errors import AlsoboughtError
from alsobought.learning.runs import latest_runs
from alsobought.storage.folder_lock import free_bytes
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

SLOW_SECONDS = 60.0  # between two readings of what takes longer: the size of the warehouse, the learning runs


@dataclass(frozen=True)
class Readings:
    """Bytes; None where it cannot be read. `learned_at` has the time of the newest run by its name."""

    answers: bool = True
    engine_memory: int | None = None
    disk_free: int | None = None
    warehouse_bytes: int | None = None
    learned_at: Mapping[str, datetime] | None = None


class Vitals:
    """`refresh` reads, `latest` has the last readings."""

    def __init__(self, warehouse: Warehouse, min_free: int) -> None:
        self._warehouse, self._min_free = warehouse, min_free
        self._slow_due = 0.0
        self.latest = Readings()

    @property
    def disk_full(self) -> bool:
        """True if nothing is stored any more for want of space."""
        free = self.latest.disk_free
        return free is not None and free < self._min_free

    def refresh(self) -> None:
        """Never raises: an engine that does not answer is a reading."""
        try:
            memory = self._number("select value from system.metrics where metric = 'MemoryTracking'")
            self.latest = replace(self.latest, answers=True, engine_memory=memory, disk_free=self._disk_free())
            if time.monotonic() >= self._slow_due:
                runs = latest_runs(self._warehouse)
                learned_at = {name: run.learned_at for name, run in runs.items()}
                self.latest = replace(self.latest, warehouse_bytes=self._warehouse_bytes(), learned_at=learned_at)
                self._slow_due = time.monotonic() + SLOW_SECONDS
        except AlsoboughtError as error:
            if self.latest.answers:
                log.error("the database does not answer: %s", error)
            self.latest = replace(self.latest, answers=False)

    def _disk_free(self) -> int | None:
        if folder := self._warehouse.folder:
            return free_if_there(folder)
        return self._number("select min(free_space) from system.disks where type = 'Local'")

    def _warehouse_bytes(self) -> int | None:
        if folder := self._warehouse.folder:
            return folder_bytes(folder)
        sql = f"select sum(total_bytes) from system.tables where database = '{self._warehouse.database}'"
        return self._number(sql)

    def _number(self, sql: str) -> int | None:
        data = self._warehouse.trusted_rows(sql).data
        return int(data[0][0]) if data and data[0][0] is not None else None


def free_if_there(folder: Path) -> int | None:
    """The free bytes on the disk of the folder; None if there is no such folder."""
    try:
        return free_bytes(folder)
    except OSError:
        return None


def folder_bytes(folder: Path) -> int:
    """What the files of a folder occupy on the disk. A file with two names, as backups make them, counts once."""
    seen: set[int] = set()
    total, folders = 0, [str(folder)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(OSError):  # a merge has deleted it meanwhile
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink == 1 or status.st_ino not in seen:
                        total += 512 * status.st_blocks
                        if status.st_nlink > 1:
                            seen.add(status.st_ino)
    return total


def resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """The memory of this process that is in RAM; 0 where the system does not show it."""
    try:
        pages = int(statm.read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
