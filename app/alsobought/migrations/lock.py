"""One run at a time on a server: who creates the table `migrating` holds the lock, and its comment says who that is.

CREATE TABLE without IF NOT EXISTS either makes the table or fails, so that two runs never both succeed. An embedded warehouse
needs none while its folder has one process. On a cluster it guards the node that is asked, not the others.
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


class IpcServer(msgspec.Struct, frozen=True):
    host: str
    pid: int
    since: str
    token: str


def needed(warehouse: Warehouse) -> bool:
    return warehouse.shared


def this_process() -> IpcServer:
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return IpcServer(socket.gethostname(), os.getpid(), since, uuid.uuid4().hex)


@contextmanager
def held(warehouse: Warehouse, *, break_lock: bool = False) -> Iterator[None]:
    """Runs the block while nobody else migrates this database.

    A lock whose process died on this host is taken over; `break_lock` takes any. Raises MigrationFault that names the holder.
    """
    mine = this_process()
    if break_lock:
        _break(warehouse)
    if not _create(warehouse, LOCK, mine):
        _take_over(warehouse, mine)
    try:
        yield
    finally:
        with suppress(AlsoboughtError):  # a server that went away keeps the table; the next run finds us dead
            if holder(warehouse, LOCK) == mine:
                _drop(warehouse, LOCK)


def holder(warehouse: Warehouse, table: str = LOCK) -> IpcServer | None:
    sql = "select comment from system.tables where database = {database:String} and name = {table:String}"
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    try:
        return msgspec.json.decode(rows[0][0], type=IpcServer) if rows else None
    except msgspec.DecodeError:
        return IpcServer("an unknown host", 0, "an unknown time", "")


def _create(warehouse: Warehouse, table: str, mine: IpcServer) -> bool:
    """False if it exists."""
    comment = quoted(msgspec.json.encode(mine).decode())
    try:
        warehouse.command(f"create table {warehouse.database}.{table} (x UInt8) engine = Memory comment {comment}")
    except WarehouseFault as fault:
        if "TABLE_ALREADY_EXISTS" in f"{fault} {fault.__cause__}":
            return False
        raise
    return True


def _take_over(warehouse: Warehouse, mine: IpcServer) -> None:
    """Two runs may find the same dead holder: only who creates `migrating_<its token>` may remove its lock."""
    found = holder(warehouse)
    if found is None or not _dead(found):
        raise _in_use(found)
    right = f"{LOCK}_{found.token}"
    if not _create(warehouse, right, mine):
        raise _in_use(holder(warehouse, right))
    try:
        if holder(warehouse) != found:  # it was taken over and we come late
            raise _in_use(holder(warehouse))
        _drop(warehouse, LOCK)
        if not _create(warehouse, LOCK, mine):
            raise _in_use(holder(warehouse))
    finally:
        _drop(warehouse, right)


def _dead(found: IpcServer) -> bool:
    if found.host != socket.gethostname() or found.pid < 1:
        return False
    try:
        os.kill(found.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _in_use(found: IpcServer | None) -> MigrationFault:
    who = f"process {found.pid} on {found.host} since {found.since}" if found else "another run, which has just ended"
    return MigrationFault(
        f"the database is being migrated by {who}",
        "Try again when it is done; if it is gone for good, use `alsobought migrate up --break-lock`",
    )


def _break(warehouse: Warehouse) -> None:
    sql = "select name from system.tables where database = {database:String} and match(name, {names:String})"
    names = {"database": warehouse.database, "names": f"^{LOCK}(_[0-9a-f]{{32}})?$"}
    for (table,) in warehouse.trusted_rows(sql, names).data:
        _drop(warehouse, table)


def _drop(warehouse: Warehouse, table: str) -> None:
    warehouse.command(f"drop table if exists {warehouse.database}.{table}")
