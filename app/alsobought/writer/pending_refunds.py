"""Refunds that are stored and not applied yet: which users have them, and from when on they are due.

Applying them rewrites the users' counts (`writer.user_rewrite`), which takes some tenths of a second whatever their number. So they
are gathered: the next time is ten times as far away as the last one took. Somebody who waits for a refund does not wait for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice

from alsobought.events import REFUND, REFUNDED_PURCHASE
from alsobought.storage.engine_settings import one_block
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.refunds import PURCHASE, Line, RefundedLine, read_lines, refunded_lines
from alsobought.writer.rows import EventRow

POSITION = "refunds"  # in serving_positions: up to which seq they are applied
PAUSE = 10.0  # times as long as the last rewrite took
MAX_PAUSE_SECONDS = 60.0
USERS_AT_ONCE, LINES_AT_ONCE = 500, 1_000


class PendingRefunds:
    """For the writer's thread. `users` may have lines to take back."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._any_stored = False
        self._newest_seq = 0
        self._due_at = self._held_until = 0.0
        self.users: dict[str, None] = {}

    @property
    def may_be_applied(self) -> bool:
        """True if there are any, and no rebuild holds them."""
        return bool(self.users) and time.monotonic() >= self._held_until

    @property
    def due(self) -> bool:
        return self.may_be_applied and time.monotonic() >= self._due_at

    def hold(self, seconds: float) -> None:
        """While a count table is rebuilt, refunds wait, at most so long."""
        self._held_until = time.monotonic() + seconds

    def catch_up(self) -> None:
        """Notes the users whose refunds the last writer may not have applied. Raises WarehouseFault."""
        database = self._warehouse.database
        sql = (
            f"select (select max(seq) from {database}.serving_positions final where name = '{POSITION}'), max(seq),"
            f" countIf({CONCERNED}) from {database}.events"
        )
        applied, self._newest_seq, refunds = map(int, self._warehouse.trusted_rows(sql).data[0])
        self._any_stored = bool(refunds)
        if self._any_stored:
            changed = f"select user_id from {database}.events where seq > {applied:d} and {_IN_QUESTION}"
            sql = f"select distinct user_id from {database}.events where {CONCERNED} and user_id in ({changed})"
            self._add(user for (user,) in self._warehouse.trusted_rows(sql).data)

    def note(self, rows: Iterable[EventRow]) -> None:
        """Notes the users whose refunds or purchases were stored. Raises WarehouseFault."""
        buyers: set[str] = set()
        refunded: set[str] = set()
        for row in rows:
            if row.event_type == REFUND:
                refunded.add(row.user_id)
            elif row.event_type == PURCHASE:
                buyers.add(row.user_id)
            self._newest_seq = row.seq
        self._any_stored = self._any_stored or bool(refunded)
        self._add(refunded)
        if self._any_stored and (buyers := buyers - self.users.keys()):
            sql = (
                f"select distinct user_id from {self._warehouse.database}.events"
                f" where user_id in ({select_list('users')}) and event_type = '{REFUND}'"
            )
            self._add(user for (user,) in self._warehouse.trusted_rows(sql, {"users": list_parameter(buyers)}).data)

    def note_users(self, users: Iterable[str]) -> None:
        """Notes users whose events are no longer the same, if there are refunds at all."""
        if self._any_stored:
            self._add(users)

    def reopen(self) -> None:
        """Before events of users change: the next start looks at all refunds, unless they are applied before.

        Raises WarehouseFault.
        """
        if self._any_stored:
            self._record(0)

    def postpone(self, seconds: float) -> None:
        """Nothing is due for so long."""
        self._due_at = time.monotonic() + seconds

    def apply(self, rewrite: Callable[[list[str], list[RefundedLine]], None]) -> list[Line]:
        """Has `rewrite` change lines of some of the users noted, and returns these lines as they were. Raises WarehouseFault."""
        started = time.monotonic()
        users = list(islice(self.users, USERS_AT_ONCE))
        lines = {line.seq: line for line in read_lines(self._warehouse, users)} if users else {}
        changes = iter(refunded_lines(lines.values()))
        changed: list[Line] = []
        while chunk := list(islice(changes, LINES_AT_ONCE)):
            of_chunk = [lines[change.seq] for change in chunk]
            rewrite(sorted({line.user_id for line in of_chunk}), chunk)
            changed += of_chunk
        for user in users:
            del self.users[user]
        if not self.users:
            self._record(self._newest_seq)
        self.postpone(min(MAX_PAUSE_SECONDS, PAUSE * (time.monotonic() - started)))
        return changed

    def _record(self, seq: int) -> None:
        into = f"insert into {self._warehouse.database}.serving_positions (name, definition, seq)"
        self._warehouse.command(f"{into} select '{POSITION}', '', {seq:d} {one_block()}")

    def _add(self, users: Iterable[str]) -> None:
        self.users.update(dict.fromkeys(users))


CONCERNED = f"(event_type in ('{REFUND}', '{REFUNDED_PURCHASE}') or refunded > 0)"
"""The condition for events of users whose purchases refunds may have to do with."""
_IN_QUESTION = f"event_type in ('{REFUND}', '{PURCHASE}', '{REFUNDED_PURCHASE}')"
