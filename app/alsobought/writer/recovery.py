"""After a crash: every view is brought up to the last batch in `events`.

An insert commits `events` first and the views after it, so that a kill in between leaves some views behind. The batch is
stored again, from `events` itself, with the token it was first stored under.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from alsobought.failpoints import reach
from alsobought.storage.mutation_journal import settled_batch
from alsobought.storage.warehouse import Warehouse

GOOD_END = ".ended"
WINDOW = "non_replicated_deduplication_window"


def batch_token(source: str, partition: int, first: int, last: int, batch: int, epoch: int) -> str:
    """What the database recognises a repeated batch by.

    >>> batch_token("post", 0, 17, 19, 16, 5)
    'post:0:17-19:16:5'
    """
    return f"{source}:{partition}:{first}-{last}:{batch}:{epoch}"


def recover(warehouse: Warehouse, epoch: int | None = None) -> list[str]:
    """Brings every view up to the last batch in `events`; returns the tables whose memory had to be cleared.

    A table that was killed between its deduplication record and its part would refuse the batch for ever: its memory is
    cleared. Then the last batch is stored again with its token: `events` and the tables that have it drop it, the others
    take it. With an epoch this is done only if it is the newest: a writer that slept may wake here, too. Not so if stored
    rows were changed since (`storage.mutation_journal`): that was done when all views had the batch.

    A server keeps these records where we cannot read them: there a table that was killed in that moment stays behind by one
    batch, and `alsobought check` tells.
    """
    database = warehouse.database
    last = warehouse.trusted_rows(
        "select any(source), argMin(partition, seq), argMin(offset, seq), argMax(offset, seq), any(epoch), batch, count()"
        f" from {database}.events where batch = (select max(batch) from {database}.events) group by batch"
    ).data
    fed = _fed_tables(warehouse) if warehouse.embedded else []
    dirty = [table for table in fed if _record_without_part(warehouse, table)]
    for table in dirty:
        warehouse.command(f"alter table {database}.{table} modify setting {WINDOW} = 0")
        reach("recover.cleared")
    for table in fed:
        if _forgets(warehouse, table):  # cleared, now or by a recover that was killed here
            warehouse.command(f"alter table {database}.{table} modify setting {WINDOW} = 1000")
    reach("recover.before_insert")
    if last and last[0][5] > settled_batch(warehouse):
        source, partition, first_offset, last_offset, stored_by, batch, _ = last[0]
        newest = "" if epoch is None else f" and (select max(epoch) from {database}.writers) <= {epoch:d}"
        select = f"select * from {database}.events where batch = {batch}{newest} order by seq"
        token = batch_token(source, partition, first_offset, last_offset, batch, stored_by)
        warehouse.insert_select("events", select, token)
    return dirty


def note_good_end(warehouse: Warehouse) -> None:
    """Says in the folder that the last batch went through whole, so that the next start need not store it again.

    A disk with no room for the note is no reason to end badly: without it the next start recovers.
    """
    if folder := warehouse.folder:
        with suppress(OSError):
            (folder / GOOD_END).write_text(str(_last_batch(warehouse)))


def ended_well(warehouse: Warehouse) -> bool:
    """Whether the last batch is known to be whole. Asking takes the note away: the next end may be another."""
    folder = warehouse.folder
    if not folder or not (folder / GOOD_END).exists():
        return False
    noted = (folder / GOOD_END).read_text()
    (folder / GOOD_END).unlink()
    return noted == str(_last_batch(warehouse))


def _last_batch(warehouse: Warehouse) -> int:
    return int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.events").data[0][0])


def _fed_tables(warehouse: Warehouse) -> list[str]:
    """The tables that views of `events` write to; a view is named for its table."""
    sql = "select name from system.tables where database = {database:String} and engine = 'MaterializedView'"
    views = warehouse.trusted_rows(sql, {"database": warehouse.database}).data
    return sorted(row[0].removesuffix("_mv") for row in views)


def _forgets(warehouse: Warehouse, table: str) -> bool:
    sql = "select engine_full from system.tables where database = {database:String} and name = {table:String}"
    found = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    return f"{WINDOW} = 0" in found[0][0]


def _record_without_part(warehouse: Warehouse, table: str) -> bool:
    """Whether the newest deduplication record of a table names a part that is not there, merged or not."""
    given = {"database": warehouse.database, "table": table}
    where = "database = {database:String} and name = {table:String}"
    folder = warehouse.trusted_rows(f"select data_paths[1] from system.tables where {where}", given).data[0][0]
    records = [
        line.split("\t")
        for path in sorted(Path(folder, "deduplication_logs").glob("*.txt"), key=_number)
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
    return not warehouse.trusted_rows(sql, {**given, "block": block}).data[0][0]


def _number(path: Path) -> int:
    digits = path.stem.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0
