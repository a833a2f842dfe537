"""Fencing of writers on a server: claim the newest epoch; `storage.fenced_insert` refuses the batches of older ones.

A lock would not do: a process may be suspended between taking the lock and storing, and resume after another has taken over.
So every insert tests in the same statement whether its epoch is still the newest (`storage.fenced_insert`), and a claim waits
until the inserts that tested before it have ended. Before that, it waits until the previous lease has lasted a second and
stored a batch, so that two writers with much to store both make progress.

With replicas, the two may write to different ones (`writer.replica_fencing`).
"""

from __future__ import annotations

import os
import random
import socket
import time

import msgspec

from alsobought.errors import NotStored
from alsobought.storage import mutation_journal
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.warehouse import Warehouse
from alsobought.writer import replica_fencing
from alsobought.writer.replica_fencing import INSERTS_IN_PROGRESS

LEASE_SECONDS = 1.0
IDLE_SECONDS = 5.0  # a lease that stored nothing for this long is over
REPLICATED_IDLE_SECONDS = 15.0  # the same where a claim also waits for replicas
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.02
EPOCH_SPREAD = 1_000_000  # two claims at the same moment must not get the same epoch


class LeaseLost(NotStored):
    """Another writer took over; the batch in flight may or may not be stored."""


def claim(warehouse: ClickHouseWarehouse, above: int) -> int:
    """A new epoch that may store from now on, above this number and all other epochs.

    A process that changes stored rows (`storage.mutation_journal`) records that first and then confirms its lease; a claimer
    claims first, then reads the journal and waits. So one of the two always sees the other.

    Raises LeaseLost if another process claims at the same moment, NotStored if an earlier insert does not end.
    """
    _await_previous_lease(warehouse)
    replica_fencing.synchronize(warehouse, ["writers"])
    newest = warehouse.trusted_rows(f"select max(epoch) from {warehouse.database}.writers").data[0][0]
    epoch = max(above, int(newest)) + random.randint(1, EPOCH_SPREAD)
    _record(warehouse, epoch, stored=False)
    until = time.monotonic() + WAIT_SECONDS
    while _inserts_in_progress(warehouse):
        if time.monotonic() > until:
            raise NotStored("an insert of the previous writer has not ended", "Find it in system.processes")
        time.sleep(POLL_SECONDS)
    replica_fencing.await_peers(warehouse, epoch, until)
    replica_fencing.synchronize(warehouse)
    while mutation_journal.in_progress(warehouse):
        time.sleep(POLL_SECONDS)
    confirm(warehouse, epoch)
    return epoch


def confirm(warehouse: ClickHouseWarehouse, epoch: int) -> None:
    """Raises LeaseLost if this epoch is no longer the newest, or another process claimed the same."""
    replica_fencing.synchronize(warehouse, ["writers"])
    sql = f"select max(epoch), countIf(epoch = {epoch:d} and not stored) from {warehouse.database}.writers"
    newest, claims = map(int, warehouse.trusted_rows(sql).data[0])
    if newest > epoch or claims > 1:
        raise LeaseLost("another writer took over", "What was not stored may be sent again")


def record_stored(warehouse: Warehouse, epoch: int) -> None:
    """Records that this lease has stored its first batch."""
    _record(warehouse, epoch, stored=True)


def _record(warehouse: Warehouse, epoch: int, *, stored: bool) -> None:
    row = {"epoch": epoch, "holder": f"{socket.gethostname()}:{os.getpid()}", "stored": stored}
    warehouse.insert("writers", msgspec.json.encode(row))


def _await_previous_lease(warehouse: Warehouse) -> None:
    """Waits until the newest lease has had its time, by the clock of the server."""
    sql = f"""
        with (select max(epoch) from {warehouse.database}.writers) as newest
        select dateDiff('ms', minIf(noted_at, epoch = newest), now64(3)) / 1000, countIf(epoch = newest and stored)
        from {warehouse.database}.writers
    """
    idle_seconds = REPLICATED_IDLE_SECONDS if warehouse.replicated else IDLE_SECONDS
    until = time.monotonic() + idle_seconds
    while time.monotonic() < until:
        seconds, stored = warehouse.trusted_rows(sql).data[0]
        if seconds > idle_seconds or (stored and seconds > LEASE_SECONDS):
            break
        time.sleep(random.uniform(POLL_SECONDS, 2 * POLL_SECONDS))


def _inserts_in_progress(warehouse: Warehouse) -> bool:
    return bool(warehouse.trusted_rows(INSERTS_IN_PROGRESS, {"database": warehouse.database}).data[0][0])
