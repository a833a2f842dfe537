"""One writer at a time on a server: whoever claimed last may store events, and finds everything stored that came before.

What a reader would guess wrong: a lock would not do. A process may be stopped between asking for the lock and storing, and
wake when another has gone on without it. So every insert asks again, in the same statement, whether its epoch is still the
newest (`Warehouse.insert_fenced`), and a claim waits until the inserts that asked before it have ended. Before that it waits
until the turn before has lasted a second and brought a batch, so that of two who have much to store each gets on.
"""

from __future__ import annotations

import os
import random
import socket
import time

import msgspec

from alsobought.errors import NotStored
from alsobought.storage.mutation_journal import under_way
from alsobought.storage.warehouse import Warehouse

LEASE_SECONDS = 1.0
IDLE_SECONDS = 5.0  # a turn that brought nothing for so long is over
WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.02
SPREAD = 1_000_000  # two who claim at the same moment must not get the same epoch


class LeaseLost(NotStored):
    """Another writer took over; what was in hand may be stored or not."""


def claim(warehouse: Warehouse, above: int) -> int:
    """A new epoch, above this number and all others, that may store from now on.

    Whoever changes stored rows (`storage.mutation_journal`) writes that down first and then confirms its lease; a claimer
    takes the lease first, then reads the journal and waits. So one of the two always sees the other.

    Raises LeaseLost if another claims at the same moment, NotStored if an insert from before does not end.
    """
    _let_finish(warehouse)
    newest = warehouse.trusted_rows(f"select max(epoch) from {warehouse.database}.writers").data[0][0]
    epoch = max(above, int(newest)) + random.randint(1, SPREAD)
    _write(warehouse, epoch, stored=False)
    until = time.monotonic() + WAIT_SECONDS
    while _inserts_under_way(warehouse):
        if time.monotonic() > until:
            raise NotStored("an insert of the writer before does not end", "Look at system.processes")
        time.sleep(PAUSE_SECONDS)
    while under_way(warehouse):
        time.sleep(PAUSE_SECONDS)
    confirm(warehouse, epoch)
    return epoch


def confirm(warehouse: Warehouse, epoch: int) -> None:
    """Raises LeaseLost if this epoch is not the newest any more, or another claimed the same."""
    sql = f"select max(epoch), countIf(epoch = {epoch:d} and not stored) from {warehouse.database}.writers"
    newest, claims = map(int, warehouse.trusted_rows(sql).data[0])
    if newest > epoch or claims > 1:
        raise LeaseLost("another writer took over", "What was not stored may be sent again")


def note_stored(warehouse: Warehouse, epoch: int) -> None:
    """That this turn has brought its first batch."""
    _write(warehouse, epoch, stored=True)


def _write(warehouse: Warehouse, epoch: int, *, stored: bool) -> None:
    row = {"epoch": epoch, "holder": f"{socket.gethostname()}:{os.getpid()}", "stored": stored}
    warehouse.insert("writers", msgspec.json.encode(row))


def _let_finish(warehouse: Warehouse) -> None:
    """Waits until the newest turn has had its time, by the clock of the server."""
    sql = f"""
        with (select max(epoch) from {warehouse.database}.writers) as newest
        select dateDiff('ms', minIf(noted_at, epoch = newest), now64(3)) / 1000, countIf(epoch = newest and stored)
        from {warehouse.database}.writers
    """
    until = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < until:
        seconds, stored = warehouse.trusted_rows(sql).data[0]
        if seconds > IDLE_SECONDS or (stored and seconds > LEASE_SECONDS):
            break
        time.sleep(random.uniform(PAUSE_SECONDS, 2 * PAUSE_SECONDS))


def _inserts_under_way(warehouse: Warehouse) -> bool:
    sql = "select count() from system.processes where startsWith(query, {start:String})"
    return bool(warehouse.trusted_rows(sql, {"start": f"insert into {warehouse.database}.events "}).data[0][0])
