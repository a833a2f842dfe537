"""One migration run at a time on a server: the lock is the table `migrating`.

Its comment names the holder. CREATE TABLE without IF NOT EXISTS either creates the table or fails,
so two runs never both succeed. An embedded warehouse needs no lock: its folder has one process. On
a cluster the lock covers only the node that runs the migrations.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import msgspec

from alsobought.errors import AlsoboughtError, MigrationFault, WarehouseFault
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

LOCK = "migrating"


class LockHolder(msgspec.Struct, frozen=True):
    host: str
    pid: int
    since: str
    token: str


def needed(warehouse: Warehouse) -> bool:
    return warehouse.shared


def this_process() -> LockHolder:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return LockHolder(socket.gethostname(), os.getpid(), since, uuid.uuid4().hex)


@contextmanager
def held(warehouse: Warehouse, *, break_lock: bool = False) -> Iterator[None]:
    """Runs the block under the lock.

    Takes over the lock of a dead process of this host; `break_lock` takes any. Raises
    MigrationFault that names the holder.
    """
    mine = this_process()
    if break_lock:
        _break(warehouse)
    if not _create(warehouse, LOCK, mine):
        _take_over(warehouse, mine)
    try:
        yield
    finally:
        with suppress(
            AlsoboughtError
        ):  # an unreachable server keeps the table; the next run takes it over from a dead process
            if holder(warehouse, LOCK) == mine:
                _drop(warehouse, LOCK)


def holder(warehouse: Warehouse, table: str = LOCK) -> LockHolder | None:
    sql = "select comment from system.tables where database = {database:String} and name = {table:String}"
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    try:
        return msgspec.json.decode(rows[0][0], type=LockHolder) if rows else None
    except msgspec.DecodeError:
        return LockHolder("an unknown host", 0, "an unknown time", "")


def _create(warehouse: Warehouse, table: str, mine: LockHolder) -> bool:
    """True if the table was created, False if it exists."""
    comment = quoted(msgspec.json.encode(mine).decode())
    try:
        warehouse.command(f"create table {warehouse.database}.{table} (x UInt8) engine = Memory comment {comment}")
    except WarehouseFault as fault:
        if "TABLE_ALREADY_EXISTS" in f"{fault} {fault.__cause__}":
            return False
        raise
    return True


def _take_over(warehouse: Warehouse, mine: LockHolder) -> None:
    """Two runs may see the same dead holder: only the one that creates `migrating_<its token>` may
    remove its lock.
    """
    dead = holder(warehouse)
    if dead is None or not _is_dead(dead):
        raise _in_use(dead)
    takeover = f"{LOCK}_{dead.token}"
    if not _create(warehouse, takeover, mine):
        raise _in_use(holder(warehouse, takeover))
    try:
        if holder(warehouse) != dead:  # another run took it over first
            raise _in_use(holder(warehouse))
        _drop(warehouse, LOCK)
        if not _create(warehouse, LOCK, mine):
            raise _in_use(holder(warehouse))
    finally:
        _drop(warehouse, takeover)


def _is_dead(other: LockHolder) -> bool:
    """True if its process ran on this host and has ended."""
    if other.host != socket.gethostname() or other.pid < 1:
        return False
    try:
        os.kill(other.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _in_use(other: LockHolder | None) -> MigrationFault:
    run = f"process {other.pid} on {other.host} since {other.since}" if other else "another run, which has just ended"
    return MigrationFault(
        f"the database is being migrated by {run}",
        "Try again when it is done; if that process is dead, use `alsobought migrate up --break-lock`",
    )


def _break(warehouse: Warehouse) -> None:
    sql = "select name from system.tables where database = {database:String} and match(name, {names:String})"
    names = {"database": warehouse.database, "names": f"^{LOCK}(_[0-9a-f]{{32}})?$"}
    for (table,) in warehouse.trusted_rows(sql, names).data:
        _drop(warehouse, table)


def _drop(warehouse: Warehouse, table: str) -> None:
    warehouse.command(f"drop table if exists {warehouse.database}.{table}")
