"""Recovery after a crash: every view is brought up to the last batch in `events`.

An insert commits `events` first and the views after it, so a kill in between leaves some views behind. The batch is inserted
again, from `events` itself, with the token it was first stored under.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from alsobought.errors import WarehouseFault
from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.count_tables import feeds_of, materialized_views
from alsobought.storage.fenced_insert import is_newest
from alsobought.storage.mutation_journal import settled_batch
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.batching import batch_token

CLEAN_SHUTDOWN = ".ended"  # the file in the folder with the last batch before a clean shutdown
WINDOW = "non_replicated_deduplication_window"
WINDOW_BLOCKS = 1000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BeforeInsert:
    """The newest block of each table before this batch was inserted. Merges keep it."""

    batch: int
    blocks: Mapping[str, int]


def before_insert(warehouse: Warehouse, batch: int) -> BeforeInsert:
    """To be asked on a server, whose deduplication records cannot be read, before a batch is inserted."""
    return BeforeInsert(batch, mutation_journal.blocks_of_all(warehouse))


def recover(warehouse: ClickHouseWarehouse, epoch: int | None = None, before: BeforeInsert | None = None) -> list[str]:
    """Brings every view up to the last batch in `events`; returns the tables whose deduplication memory had to be cleared.

    A table that was killed between its deduplication record and its part would refuse the batch for ever, so its memory is
    cleared. Then the last batch is inserted again with its token: `events` and the tables that have it drop it, the others
    store it. With an epoch, only if that is still the newest, since a suspended writer may resume here. Not if stored rows
    were changed since (`storage.mutation_journal`): by then all views had the batch.

    In a folder the records are read. A server keeps them out of reach: there `before` shows which tables got no block since
    the batch. A process that did not insert it itself has none, so if the server and the writer are killed in the same moment,
    a table may stay behind by one batch, and `alsobought check` reports it. So may a table of two views, killed at the second.
    """
    database = warehouse.database
    last_batch = warehouse.trusted_rows(
        "select any(source), argMin(partition, seq), argMin(offset, seq), argMax(offset, seq), any(epoch), batch, count()"
        f" from {database}.events where batch = (select max(batch) from {database}.events) group by batch"
    ).data
    unsettled = bool(last_batch) and last_batch[0][5] > settled_batch(warehouse)
    targets = _view_targets(warehouse)
    dirty: list[str] = []
    if warehouse.embedded:
        dirty = [table for table, folder in targets.items() if _record_without_part(warehouse, table, folder)]
    elif before and unsettled and last_batch[0][5] == before.batch:
        dirty = _without_block(warehouse, targets, before)
    try:
        _clear(warehouse, dirty)
        for table in targets.keys() & _without_window(warehouse):  # cleared now, or by a recovery that was killed here
            warehouse.command(f"alter table {database}.{table} modify setting {WINDOW} = {WINDOW_BLOCKS}")
    except WarehouseFault as fault:
        if warehouse.embedded:
            raise
        log.warning("one of these tables may lack a batch, run `alsobought check`: %s: %s", ", ".join(dirty), fault)
    reach("recovery.before_insert")
    if unsettled:
        source, partition, first_offset, last_offset, stored_by, batch, _ = last_batch[0]
        newest = "" if epoch is None else f" and {is_newest(warehouse, epoch)}"
        select = f"select * from {database}.events where batch = {batch}{newest} order by seq"
        token = batch_token(source, partition, first_offset, last_offset, batch, stored_by)
        warehouse.insert_select("events", select, token)
    return dirty


def settle(warehouse: Warehouse) -> None:
    """Recovers, and records that no batch so far may be stored again. Before views change: they would not know its token.

    A service that holds the folder has recovered when it started.
    """
    batch = last_batch(warehouse)
    if batch <= settled_batch(warehouse):
        return
    if isinstance(warehouse, ClickHouseWarehouse):
        recover(warehouse)
    _record_settled(warehouse, "views", batch)


def settle_restored(warehouse: Warehouse) -> None:
    """Records the same after a server restored its backup: all views have the last batch, and none has its token."""
    _record_settled(warehouse, "restore", last_batch(warehouse))


def _record_settled(warehouse: Warehouse, kind: str, batch: int) -> None:
    newest = f"select greatest(max(seq), (select max(id) from {warehouse.database}.rewrites)) from {warehouse.database}.events"
    identity = int(warehouse.trusted_rows(newest).data[0][0]) + 1
    mutation_journal.record_done(warehouse, identity, kind, {}, batch)


def mark_clean_shutdown(warehouse: Warehouse) -> None:
    """Records in the folder that all views have the last batch, so that the next start need not recover.

    A full disk is no reason to fail here: without the mark, the next start recovers.
    """
    if folder := warehouse.folder:
        with suppress(OSError):
            (folder / CLEAN_SHUTDOWN).write_text(str(last_batch(warehouse)))


def consume_clean_shutdown(warehouse: Warehouse) -> bool:
    """True if the mark is there and names the last batch. Removes the mark: the next shutdown may be a crash."""
    folder = warehouse.folder
    if not folder or not (folder / CLEAN_SHUTDOWN).exists():
        return False
    batch = (folder / CLEAN_SHUTDOWN).read_text()
    (folder / CLEAN_SHUTDOWN).unlink()
    return batch == str(last_batch(warehouse))


def last_batch(warehouse: Warehouse) -> int:
    """The number of the newest batch in `events`; 0 if there is none."""
    return int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.events").data[0][0])


def _view_targets(warehouse: Warehouse) -> dict[str, Path]:
    """The tables that views write to, with their folders, but no feeds: these store nothing."""
    sql = "select name, data_paths from system.tables where database = {database:String} order by name"
    tables = warehouse.trusted_rows(sql, {"database": warehouse.database}).data
    targets = {view.table for view in materialized_views(warehouse)} - feeds_of(warehouse)
    return {name: Path(paths[0]) for name, paths in tables if name in targets}


def _clear(warehouse: ClickHouseWarehouse, tables: list[str]) -> None:
    for table in tables:
        warehouse.command(f"alter table {warehouse.database}.{table} modify setting {WINDOW} = 0")
        reach("recovery.cleared")


def _without_block(warehouse: Warehouse, targets: Mapping[str, Path], before: BeforeInsert) -> list[str]:
    """The tables that got no block since, of those that keep their deduplication records themselves."""
    now = mutation_journal.newest_blocks(warehouse, targets)
    unchanged = {table for table, block in now.items() if block <= before.blocks.get(table, 0)}
    return sorted(unchanged - _replicated(warehouse)) if unchanged else []


def _replicated(warehouse: Warehouse) -> set[str]:
    """The tables whose records are kept by Keeper, together with the part."""
    sql = "select name from system.tables where database = {database:String} and startsWith(engine, 'Replicated')"
    return {name for (name,) in warehouse.trusted_rows(sql, {"database": warehouse.database}).data}


def _without_window(warehouse: Warehouse) -> set[str]:
    """The tables that deduplicate nothing."""
    sql = f"select name from system.tables where database = {{database:String}} and engine_full like '%{WINDOW} = 0%'"
    return {name for (name,) in warehouse.trusted_rows(sql, {"database": warehouse.database}).data}


def _record_without_part(warehouse: Warehouse, table: str, folder: Path) -> bool:
    """True if the newest deduplication record of a table names a part that does not exist, merged or not."""
    parameters = {"database": warehouse.database, "table": table}
    records = [
        line.split("\t")
        for path in sorted((folder / "deduplication_logs").glob("*.txt"), key=_log_number)
        for line in path.read_text(errors="replace").splitlines()
    ]
    added = [record[1] for record in records if len(record) == 3 and record[0] == "1"]
    if not added:
        return False
    block = int(added[-1].split("_")[1])
    sql = (
        "select count() from system.parts where database = {database:String} and table = {table:String} and active"
        " and {block:Int64} between min_block_number and max_block_number"
    )
    return not warehouse.trusted_rows(sql, {**parameters, "block": block}).data[0][0]


def _log_number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0
