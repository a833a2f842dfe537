"""Record requests to pipes in the table `requests`: parameters, status, and the items shown.

A request only appends a record to a queue; a thread turns records into rows and hands them to the
writer once a second. The log is not a ledger, and the service never waits for it: a crash loses the
requests of the last second, and records that do not fit or cannot be stored are dropped and
counted.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

import msgspec

from alsobought.pipes.fallbacks import item_column
from alsobought.serving.answer import Answer
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import MaintenanceTask

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
BATCH_ROWS = 10_000
MAX_WAITING = 5 * BATCH_ROWS
MAX_PARAMETERS = 65_536  # bytes; longer JSON is left out, since a truncated text cannot be replayed
STORE_SECONDS = 30.0  # a writer that takes longer has stopped


class RequestRecord(msgspec.Struct, frozen=True):
    """A request and its outcome. `answer` is None if it failed; `parameters` is JSON."""

    time: datetime
    request_id: str
    pipe: str
    version: str
    parameters: bytes
    status: int
    error: str
    seconds: float
    answer: Answer | None


class RequestRow(msgspec.Struct):
    """A row of the table `requests`."""

    time: datetime
    request_id: str
    pipe: str
    version: str
    fallback: str
    parameters: str
    item_ids: list[str]
    rows: int
    status: int
    error: str
    seconds: float
    rows_read: int
    bytes_read: int
    cached: bool = msgspec.field(name="kept")


class TaskRunner(Protocol):
    """Runs maintenance tasks: the writer, or `InlineTaskRunner`."""

    @property
    def warehouse(self) -> Warehouse: ...

    def run(self, task: MaintenanceTask) -> Future[None]: ...


class InlineTaskRunner:
    """Runs tasks in the caller's thread, for a process whose writer never starts."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def run(self, task: MaintenanceTask) -> Future[None]:
        task.action()
        task.done.set_result(None)
        return task.done


class RequestLog:
    """One per running service. `add` may be called from any thread."""

    def __init__(self, writer: TaskRunner) -> None:
        self._writer = writer
        self._waiting: deque[RequestRecord] = deque()
        self._wake, self._stopped = threading.Event(), False
        self._counting, self._storing = threading.Lock(), threading.Lock()
        self._failing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store the waiting records, then end the thread."""
        self._stopped = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def add(self, record: RequestRecord) -> None:
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

    def _store(self, batch: Sequence[RequestRecord]) -> None:
        try:
            lines = _JSON.encode_lines([to_row(record) for record in batch])
            insert = MaintenanceTask(lambda: self._writer.warehouse.insert("requests", lines))
            self._writer.run(insert).result(STORE_SECONDS)
        except Exception as error:
            self._drop(len(batch))
            if not self._failing:
                log.warning("requests are not recorded: %s", error or type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.warning("resumed recording requests; dropped since the start: %d", self.dropped)
            self._failing = False

    def _drop(self, rows: int) -> None:
        with self._counting:
            self.dropped += rows


def encode_parameters(raw: Mapping[str, Sequence[Any]]) -> bytes:
    """The parameters of a request as JSON that decodes to the same values.

    Empty if the JSON is too long or the values cannot be encoded.

    >>> encode_parameters({"item_id": ["tea", "mug"], "limit": [3]})
    b'{"item_id":["tea","mug"],"limit":[3]}'
    """
    try:
        text = _JSON.encode(raw)
    except (ValueError, OverflowError, RecursionError):  # half a surrogate pair, deep nesting
        return b""
    return text if len(text) <= MAX_PARAMETERS else b""


def to_row(record: RequestRecord) -> RequestRow:
    answer = record.answer
    statistics = answer.statistics if answer and not answer.cached else None
    return RequestRow(
        time=record.time,
        request_id=record.request_id,
        pipe=record.pipe,
        version=record.version,
        fallback=(answer.fallback or "") if answer else "",
        parameters=record.parameters.decode(),
        item_ids=shown_items(answer) if answer else [],
        rows=len(answer.data) if answer else 0,
        status=record.status,
        error=record.error,
        seconds=record.seconds,
        rows_read=statistics.rows_read if statistics else 0,
        bytes_read=statistics.bytes_read if statistics else 0,
        cached=bool(answer and answer.cached),
    )


def shown_items(answer: Answer) -> list[str]:
    """The ids of the items an answer shows, in order."""
    names = [column.name for column in answer.meta]
    column = item_column(names)
    if not column:
        return []
    index = names.index(column)
    return [str(row[index]) for row in answer.data if row[index] is not None]


_JSON = msgspec.json.Encoder()
