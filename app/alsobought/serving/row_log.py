"""Rows about requests, stored off the request path: a thread hands them to the writer once a second.

Such a log is not a ledger, and the service never waits for it: a crash loses the rows of the last second, and rows that do not
fit or cannot be stored are dropped and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import MaintenanceTask

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
BATCH_ROWS = 10_000
MAX_WAITING = 5 * BATCH_ROWS
STORE_SECONDS = 30.0  # a writer that takes longer has stopped

T = TypeVar("T")


class TaskRunner(Protocol):
    """Runs maintenance tasks: the writer, or `InlineTaskRunner`."""

    @property
    def warehouse(self) -> Warehouse: ...

    def run(self, task: MaintenanceTask) -> Future[Any]: ...


class InlineTaskRunner:
    """Runs tasks in the caller's thread, for a process whose writer never starts."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def run(self, task: MaintenanceTask) -> Future[Any]:
        task.action()
        task.done.set_result(None)
        return task.done


class RowLog(Generic[T]):
    """One per table and running service. `add` may be called from any thread; `to_row` runs in the thread of the log."""

    def __init__(self, writer: TaskRunner, table: str, name: str, to_row: Callable[[T], Any]) -> None:
        self._writer, self._table, self._name, self._to_row = writer, table, name, to_row
        self._waiting: deque[T] = deque()
        self._wake, self._stopped = threading.Event(), False
        self._counting, self._storing = threading.Lock(), threading.Lock()
        self._failing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name=f"{table}-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store the waiting records, then end the thread."""
        self._stopped = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def add(self, record: T) -> None:
        """Queue a record. Never blocks: drops the record if the queue is full."""
        waiting = len(self._waiting)
        if waiting >= MAX_WAITING:
            self._drop(1)
            return
        self._waiting.append(record)
        if waiting + 1 >= BATCH_ROWS:
            self._wake.set()

    def flush(self) -> None:
        """Store or drop every record that is queued now; later ones stay queued."""
        with self._storing:
            waiting = len(self._waiting)
            for start in range(0, waiting, BATCH_ROWS):
                self._store([self._waiting.popleft() for _ in range(min(BATCH_ROWS, waiting - start))])

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(FLUSH_SECONDS)
            self._wake.clear()
            self.flush()

    def _store(self, batch: Sequence[T]) -> None:
        try:
            lines = _JSON.encode_lines([self._to_row(record) for record in batch])
            insert = MaintenanceTask(lambda: self._writer.warehouse.insert(self._table, lines))
            self._writer.run(insert).result(STORE_SECONDS)
        except Exception as error:
            self._drop(len(batch))
            if not self._failing:
                log.warning("%s are not recorded: %s", self._name, error or type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.warning("resumed recording %s; dropped since the start: %d", self._name, self.dropped)
            self._failing = False

    def _drop(self, rows: int) -> None:
        with self._counting:
            self.dropped += rows


_JSON = msgspec.json.Encoder()
