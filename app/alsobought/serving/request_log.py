"""Requests to pipes → the table `requests`: what was asked and what was shown, to look at and to replay.

A request only leaves a note in a queue; a thread makes rows of the notes and hands them to the writer, once a second.
What a reader would guess wrong: this is no ledger. The requests of the last second are lost with a crash, and what finds
no room or cannot be stored is dropped and counted. The service never waits for it.
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

from alsobought.pipes.fallbacks import shown_in
from alsobought.serving.answers import Answer
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import MaintenanceTask

log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
BATCH_ROWS = 10_000
MOST_WAITING = 5 * BATCH_ROWS
MAX_PARAMETERS = 65_536  # bytes; a longer text is left out whole, since half of one cannot be asked again
STORE_SECONDS = 30.0  # a writer that takes longer has stopped


class Asked(msgspec.Struct, frozen=True):
    """A request as the service notes it: `found` is its answer, or None if it was refused."""

    time: datetime
    request_id: str
    pipe: str
    version: str
    parameters: bytes
    status: int
    error: str
    seconds: float
    found: Answer | None


class Row(msgspec.Struct):
    """The same as `requests` stores it."""

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
    kept: bool


class MaintenanceTasks(Protocol):
    """What does an task: the writer, or `AtOnce`."""

    @property
    def warehouse(self) -> Warehouse: ...

    def run(self, task: MaintenanceTask) -> Future[None]: ...


class AtOnce:
    """Does tasks in the caller's thread, where another process stores the events."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def run(self, task: MaintenanceTask) -> Future[None]:
        task.action()
        task.done.set_result(None)
        return task.done


class RequestLog:
    """One per running shop; `note` from any thread."""

    def __init__(self, writer: MaintenanceTasks) -> None:
        self._writer = writer
        self._waiting: deque[Asked] = deque()
        self._wake, self._stopped = threading.Event(), False
        self._counting, self._storing = threading.Lock(), threading.Lock()
        self._failing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stores what is waiting, then ends the thread."""
        self._stopped = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def note(self, asked: Asked) -> None:
        """Never waits: what finds no room is dropped."""
        waiting = len(self._waiting)
        if waiting >= MOST_WAITING:
            self._drop(1)
            return
        self._waiting.append(asked)
        if waiting + 1 >= BATCH_ROWS:
            self._wake.set()

    def flush(self) -> None:
        """Returns once everything that was noted before is stored or dropped; what comes meanwhile is for the next time."""
        with self._storing:
            waiting = len(self._waiting)
            for at in range(0, waiting, BATCH_ROWS):
                self._store([self._waiting.popleft() for _ in range(min(BATCH_ROWS, waiting - at))])

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(EVERY_SECONDS)
            self._wake.clear()
            self.flush()

    def _store(self, batch: Sequence[Asked]) -> None:
        try:
            lines = _JSON.encode_lines([row(asked) for asked in batch])
            insert = MaintenanceTask(lambda: self._writer.warehouse.insert("requests", lines))
            self._writer.run(insert).result(STORE_SECONDS)
        except Exception as error:
            self._drop(len(batch))
            if not self._failing:
                log.warning("requests are not recorded: %s", error or type(error).__name__)
            self._failing = True
        else:
            if self._failing:
                log.warning("requests are recorded again; dropped since the start: %d", self.dropped)
            self._failing = False

    def _drop(self, rows: int) -> None:
        with self._counting:
            self.dropped += rows


def parameters(given: Mapping[str, Sequence[Any]]) -> bytes:
    """The values of a request as JSON that gives back exactly these; empty where that is too long or not to be had.

    >>> parameters({"item_id": ["tea", "mug"], "limit": [3]})
    b'{"item_id":["tea","mug"],"limit":[3]}'
    """
    try:
        text = _JSON.encode(given)
    except (ValueError, OverflowError, RecursionError):  # half a surrogate pair, an object in an object in an object …
        return b""
    return text if len(text) <= MAX_PARAMETERS else b""


def row(asked: Asked) -> Row:
    found = asked.found
    read = found.statistics if found and not found.cached else None
    return Row(
        time=asked.time,
        request_id=asked.request_id,
        pipe=asked.pipe,
        version=asked.version,
        fallback=(found.fallback or "") if found else "",
        parameters=asked.parameters.decode(),
        item_ids=shown(found) if found else [],
        rows=len(found.data) if found else 0,
        status=asked.status,
        error=asked.error,
        seconds=asked.seconds,
        rows_read=read.rows_read if read else 0,
        bytes_read=read.bytes_read if read else 0,
        kept=bool(found and found.cached),
    )


def shown(found: Answer) -> list[str]:
    """The items an answer shows, in its order."""
    names = [column.name for column in found.meta]
    item = shown_in(names)
    place = names.index(item) if item else None
    return [] if place is None else [str(one[place]) for one in found.data if one[place] is not None]


_JSON = msgspec.json.Encoder()
