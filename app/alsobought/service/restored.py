"""Open what was restored for the first time: migrate it, store the posts in its log, erase who was forgotten since, prove it.

On a server, the database bears a mark until the server has restored all of it; with it no warehouse opens there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from alsobought.access.audit import operator
from alsobought.access.audit_log import AuditLog
from alsobought.backup.erasures import Erasure, as_arguments, recorded_erasures
from alsobought.backup.manifest import Manifest
from alsobought.backup.server_restore import restore_server
from alsobought.backup.store import Store
from alsobought.counts.consistency import Checked, Progress, check
from alsobought.counts.rebuild import ProgressBar
from alsobought.errors import Unusable, WarehouseFault
from alsobought.failpoints import reach
from alsobought.migrations import runner
from alsobought.service.maintenance import Bar, finish_serving_tables
from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.storage.clickhouse import RESTORING_COMMENT, ClickHouseWarehouse, open_warehouse
from alsobought.storage.count_tables import count_tables
from alsobought.storage.part_checks import BrokenPart, check_parts
from alsobought.storage.topology import node_settings
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.recovery import settle_restored

DATABASE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DRILL = "_verify"  # the temporary database beside that of a shop


class Restored(msgspec.Struct, frozen=True):
    """`erased` users were forgotten after the backup; `guests` of them are part of an account that was not.

    `checked` is None without a check. `broken` has the damaged parts of a server's restore, found by the same check.
    """

    events: int
    erased: int
    guests: list[str]
    checked: Checked | None
    broken: list[BrokenPart]


def restored_folder(settings: Settings, folder: Path, database: str) -> Settings:
    """The settings with which a restored folder is opened."""
    return msgspec.structs.replace(settings, data=str(folder), dsn="", database=database, kafka="", backup_hours=0)


def restored_database(settings: Settings, store: Store, manifest: Manifest, into: str, bar: ProgressBar) -> Settings:
    """Has the server restore a backup into a database that is empty or absent; returns the settings to open it with.

    A shard of a cluster is restored as a server of its own: its tables over all shards are made when all are there.

    Raises Unusable for another database. What a killed run left is dropped first.
    """
    if not DATABASE_NAME.fullmatch(into):
        raise Unusable(f"{into!r} is no name for a database", "Name a new one in --into: letters, digits and _")
    own = node_settings(settings, settings.warehouse_dsn)
    there = msgspec.structs.replace(own, database=into, kafka="", backup_hours=0)
    warehouse = open_warehouse(there, create=False, must_exist=False)
    try:
        _prepare(warehouse)
        restore_server(warehouse, store, manifest, into, bar)
        settle_restored(warehouse)
        reach("restore.linked")
        warehouse.command(f"alter database {into} modify comment ''")
        for _ in runner.up(warehouse, there.home_folder / "migrations"):
            pass
    finally:
        warehouse.close()
    return there


@contextmanager
def drill_database(settings: Settings) -> Iterator[str]:
    """The name of a database for a restore drill, dropped before and afterwards."""
    database = settings.database + DRILL
    warehouse = open_warehouse(settings, create=False)
    try:
        warehouse.command(f"drop database if exists {database} sync")
        yield database
    finally:
        warehouse.command(f"drop database if exists {database} sync")
        warehouse.close()


def finish_restore(
    settings: Settings,
    erasures: Sequence[Erasure],
    bar: Bar,
    progress: Progress | None,
    *,
    backup: str,
    of_shard: bool = False,
) -> Restored:
    """With `progress`, every count is compared with a recompute. The folder is released afterwards.

    The serving tables of one shard of a cluster have counts of all shards: they are not compared.

    Recorded in the audit log of the restored warehouse, as the restore of `backup`.
    """
    service = open_service(settings, create=False)
    try:
        known = set(recorded_erasures(service.warehouse))
        later = [erasure for erasure in erasures if erasure not in known]
        into = {"into": settings.database if settings.dsn else settings.data}
        with AuditLog(service.warehouse).recorded(operator(), "backup.restore", backup, into) as result:
            guests = service.do("forget again", as_arguments(later))
            finish_serving_tables(service.do, bar)
            result["erased_again"] = len(later)
        checked, broken = None, list[BrokenPart]()
        if progress:
            other = service.warehouse.another()
            try:
                only = [table.name for table in count_tables(other)] if of_shard else ()
                checked = checked_counts(other, service.do, settings.home_folder, progress, only)
                broken = list(check_parts(other)) if other.shared else []
            finally:
                other.close()
        events = int(service.warehouse.trusted_rows(f"select count() from {settings.database}.events").data[0][0])
        return Restored(events, len(later), guests, checked, broken)
    finally:
        service.close()


def _prepare(warehouse: ClickHouseWarehouse) -> None:
    """An empty database with the mark."""
    with suppress(WarehouseFault):  # a run was killed while it was detached; else there is none to attach
        warehouse.command(f"attach database if not exists {warehouse.database}")
    database = {"database": warehouse.database}
    sql = "select comment from system.databases where name = {database:String}"
    comments = [comment for (comment,) in warehouse.trusted_rows(sql, database).data]
    if comments == [RESTORING_COMMENT]:
        warehouse.command(f"drop database {warehouse.database} sync")
    if comments in ([], [RESTORING_COMMENT]):
        warehouse.command(f"create database {warehouse.database} comment '{RESTORING_COMMENT}'")
        return
    sql = "select count() from system.tables where database = {database:String}"
    if int(warehouse.trusted_rows(sql, database).data[0][0]):
        raise Unusable(f"the database {warehouse.database} is not empty", "Name a new one in --into")
    warehouse.command(f"alter database {warehouse.database} modify comment '{RESTORING_COMMENT}'")


def checked_counts(
    warehouse: Warehouse, do: Callable[..., Any], home: Path, progress: Progress, only: Sequence[str] = ()
) -> Checked:
    """Compares every count table with a recompute, or these."""
    return check(warehouse, do, home / "sql" / "checks", only=only, progress=progress)


def is_right(checked: Checked | None) -> bool:
    """True if nothing was found, or nothing was compared."""
    return checked is None or not (checked.wrong or checked.events_without_category or checked.purchases_not_refunded)
