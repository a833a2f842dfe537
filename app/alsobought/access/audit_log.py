"""The table `audit_log`: each entry is stored before its action, and its outcome after it (ADR 33).

So no action goes unrecorded: one whose entry cannot be stored does not happen, and one that a crash cuts short stays without
an outcome. Callers that wait at the same time share an insert.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from alsobought.access.audit import DONE, FAILED, Actor, as_json, bounded
from alsobought.errors import AlsoboughtError, NotStored
from alsobought.storage.sql_text import time_text
from alsobought.storage.warehouse import AUDIT_TABLE, Warehouse

log = logging.getLogger(__name__)

WINDOW_SECONDS = 600  # frequent actions of one actor in so many seconds are one entry
FLUSH_SECONDS = 60.0
MAX_COUNTED = 200  # entries of an action in a window; later callers are one entry without a name or an address
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class _Ticket:
    """Rows that wait for an insert, and how it ended."""

    rows: list[Mapping[str, Any]]
    done: bool = False
    error: AlsoboughtError | None = None


@dataclass
class _Counted:
    """A frequent action of one actor in one window."""

    row: dict[str, Any]
    times: int = 0
    stored: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class AuditLog:
    """One per process. Thread-safe. `start` is for services; a command needs none."""

    def __init__(self, warehouse: Warehouse, clock: Clock = _now) -> None:
        self.warehouse, self._clock = warehouse, clock
        self._waiting: list[_Ticket] = []
        self._queueing, self._inserting, self._counting = threading.Lock(), threading.Lock(), threading.Lock()
        self._window, self._counted = -1, dict[tuple[Any, ...], _Counted]()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def recorded(
        self, actor: Actor, action: str, subject: str = "", detail: Mapping[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Record an action, which is the body of `with`; what the body puts into the dictionary is added to the detail.

        Raises NotStored if the entry cannot be stored: then the body does not run.
        """
        row = self._begin(actor, action, subject, detail or {})
        result: dict[str, Any] = {}
        try:
            yield result
        except BaseException as error:
            failure = error.code if isinstance(error, AlsoboughtError) and error.status != 500 else type(error).__name__
            self._end(row, FAILED, {**result, "error": failure})
            raise
        self._end(row, DONE, result)

    def record_done(
        self, actor: Actor, action: str, subject: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        """Record an action that has happened, where there was no table to record it before. Raises NotStored."""
        with self.recorded(actor, action, subject, detail):
            pass

    def count(self, actor: Actor, action: str, subject: str = "", outcome: str = DONE) -> None:
        """Record an action that happens often: the first of a window before it happens, how many there were later.

        Raises NotStored if the first cannot be stored.
        """
        counted = self._entry_of_window(actor, action, subject, outcome)
        with counted.lock:
            counted.times += 1
            if not counted.stored:
                self._store([{**counted.row, "times": counted.times}])
                counted.stored = counted.times

    def _entry_of_window(self, actor: Actor, action: str, subject: str, outcome: str) -> _Counted:
        now = self._clock()
        window = int(now.timestamp()) // WINDOW_SECONDS
        over: list[_Counted] = []
        with self._counting:
            if window != self._window:
                over, self._counted, self._window = list(self._counted.values()), {}, window
            key = (actor, action, subject)
            if key not in self._counted and sum(one[1] == action for one in self._counted) >= MAX_COUNTED:
                actor, subject = Actor(via=actor.via, address="others"), ""
                key = (actor, action, subject)
            if key not in self._counted:
                self._counted[key] = _Counted(_row(now, actor, action, subject, {}) | {"outcome": outcome})
            counted = self._counted[key]
        with suppress(AlsoboughtError):  # logged; it must not delay what happens now
            self._store_counts(over)
        return counted

    def start(self) -> None:
        """Store counts once a minute, in a thread."""
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Store the counts, and end the thread. The warehouse stays open."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        self.flush()

    def flush(self) -> None:
        """Store how often frequent actions have happened."""
        with self._counting:
            counted = list(self._counted.values())
        with suppress(AlsoboughtError):
            self._store_counts(counted)

    def _run(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            self.flush()

    def _store_counts(self, counted: list[_Counted]) -> None:
        changed = [one for one in counted if one.times > one.stored > 0]
        times = [one.times for one in changed]
        if not changed:
            return
        try:
            self._store([_key_of(one.row) | {"times": number} for one, number in zip(changed, times, strict=True)])
        except AlsoboughtError as error:
            log.warning("the audit log lacks how often %d actions happened: %s", len(changed), error.message)
            raise
        for one, number in zip(changed, times, strict=True):
            one.stored = number

    def _begin(self, actor: Actor, action: str, subject: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        row = _row(self._clock(), actor, action, subject, detail)
        self._store([row])
        return row

    def _end(self, row: Mapping[str, Any], outcome: str, result: Mapping[str, Any]) -> None:
        finished = _key_of(row) | {"outcome": outcome, "finished_at": time_text(self._clock())}
        if result:
            finished["result"] = as_json(result)
        try:
            self._store([finished])
        except AlsoboughtError as error:
            log.warning("the audit log lacks the outcome of %s %s: %s", row["action"], row["object"], error.message)

    def _store(self, rows: list[Mapping[str, Any]]) -> None:
        """Returns once they survive a crash. Whoever inserts takes the rows of all who wait. Raises NotStored."""
        ticket = _Ticket(rows)
        with self._queueing:
            self._waiting.append(ticket)
        with self._inserting:
            if not ticket.done:
                self._insert_waiting()
        if ticket.error:
            raise NotStored(
                f"the audit log cannot be written, and nothing is changed without it: {ticket.error.message}",
                "`alsobought migrate up` creates its table, `alsobought doctor` finds other reasons",
            ) from ticket.error

    def _insert_waiting(self) -> None:
        with self._queueing:
            tickets, self._waiting = self._waiting, []
        lines = b"".join(msgspec.json.encode(row) + b"\n" for ticket in tickets for row in ticket.rows)
        error: AlsoboughtError | None = NotStored("the insert failed")  # in whatever way: no waiting action goes ahead
        try:
            self.warehouse.insert(AUDIT_TABLE, lines)
            error = None
        except AlsoboughtError as failure:
            error = failure
        finally:
            for ticket in tickets:
                ticket.done, ticket.error = True, error


def _row(at: datetime, actor: Actor, action: str, subject: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "time": time_text(at),
        "entry_id": secrets.token_hex(8),
        "via": actor.via,
        "actor": bounded(actor.id),
        "actor_name": bounded(actor.name),
        "address": bounded(actor.address),
        "action": action,
        "object": bounded(subject),
        "detail": as_json(detail),
        "times": 1,
    }


def _key_of(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": row["time"], "entry_id": row["entry_id"]}
