"""The ledger of stored events: by source and offset, by event_id, and the progress of each load.

A source is stored in order and without a gap (`Submission.after`), so a load resumes after its last stored offset.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from alsobought.storage.cluster import parts_of
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse

SCAN_FROM_IDS = 1000  # from this many on, a scan is faster than one index look-up per event_id


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load of a file: `reading` identifies the way its rows were read, `since` is the lowest number its batches can have."""

    source: str
    reading: str
    since: int
    rejected: int = msgspec.field(default=0, name="refused")  # the column's name
    finished: bool = False


def resume_offset(warehouse: Warehouse, source: str, since: int = 0) -> int:
    """The offset after the last one stored of a source, in batches from `since` on; 0 if there is none.

    Events that were moved here from another shard (batch 0) say nothing about how far a source was stored. Of a cluster, the
    lowest of its shards: up to there, each of them has its events.
    """
    return min(_resume_offset(shard, source, since) for shard in parts_of(warehouse))


def _resume_offset(warehouse: Warehouse, source: str, since: int) -> int:
    sql = (
        f"select if(count() = 0, 0, max(last_offset) + 1) from {warehouse.database}.ingest_batches"  # max(x + 1) of none is 1
        " where source = {source:String} and batch >= {since:UInt64} and batch > 0"
    )
    return int(warehouse.trusted_rows(sql, {"source": source, "since": since}).data[0][0])


def next_offset(warehouse: Warehouse, source: str, partition: int) -> int:
    """The offset at which consumption of a Kafka partition resumes; 0 at first.

    Read from the checkpoints alone: events that were stored but not yet committed are read again and dropped by their offset.
    """
    sql = f"select max(next_offset) from {warehouse.database}.ingest_ranges"
    sql += " where source = {source:String} and partition = {partition:UInt32}"
    return int(warehouse.trusted_rows(sql, {"source": source, "partition": partition}).data[0][0])


def next_batch(warehouse: Warehouse, source: str) -> int:
    """A lower bound of the numbers of the source's next batches, above those of all its stored ones."""
    sql = f"select max(batch) + 1 from {warehouse.database}.ingest_batches where source = {{source:String}}"
    return int(warehouse.trusted_rows(sql, {"source": source}).data[0][0])


def count_events(warehouse: Warehouse, source: str, before: int | None = None) -> int:
    """The number of stored events of a source: all of them, or those before an offset."""
    sql = f"select sum(events) from {warehouse.database}.ingest_batches final where source = {{source:String}}"
    if before is not None:
        sql = (
            f"select count() from {warehouse.database}.events where source = {{source:String}} and offset < {before:d}"
        )
    return int(warehouse.trusted_rows(sql, {"source": source}).data[0][0])


def stored_offsets(warehouse: Warehouse, source: str, partition: int, first: int, last: int) -> set[int]:
    """The offsets of a partition in this range that are stored, however long ago. Reads `events` only if the ledger overlaps."""
    parameters = {"source": source, "partition": partition, "first": first, "last": last}
    overlap = (
        f"select count() from {warehouse.database}.ingest_batches where source = {{source:String}}"
        " and partition = {partition:UInt32} and first_offset <= {last:UInt64} and last_offset >= {first:UInt64}"
    )
    if not warehouse.trusted_rows(overlap, parameters).data[0][0]:
        return set()
    sql = (
        f"select offset from {warehouse.database}.events where source = {{source:String}}"
        " and partition = {partition:UInt32} and offset between {first:UInt64} and {last:UInt64}"
    )
    return {row[0] for row in warehouse.trusted_rows(sql, parameters).data}


def stored_event_ids(warehouse: Warehouse, ids: Collection[str], since: datetime) -> set[str]:
    """Those of these event_ids that were stored after `since`."""
    if not ids:
        return set()
    sql = (
        f"select event_id from {warehouse.database}.events"
        f" where event_id in ({select_list('ids')}) and ingested_at > {{since:DateTime64(3, 'UTC')}}"
    )
    if len(ids) > SCAN_FROM_IDS:
        sql += " settings use_skip_indexes = 0"
    rows = warehouse.trusted_rows(sql, {"ids": list_parameter(ids), "since": since})
    return {row[0] for row in rows.data}


def last_load(warehouse: Warehouse, source: str) -> Load | None:
    """The latest record of a load of this source."""
    sql = (
        f"select source, reading, since, refused, finished from {warehouse.database}.loads"
        " where source = {source:String} order by version desc limit 1"
    )
    rows = warehouse.trusted_rows(sql, {"source": source}).dicts()
    return msgspec.convert(rows[0], Load) if rows else None


def record_load(warehouse: Warehouse, load: Load) -> None:
    """Records the progress of a load. Only while the writer is idle: it owns the connection for writing."""
    sql = f"select max(version) + 1 from {warehouse.database}.loads where source = {{source:String}}"
    version = int(warehouse.trusted_rows(sql, {"source": load.source}).data[0][0])
    warehouse.insert("loads", msgspec.json.encode({**msgspec.to_builtins(load), "version": version}))
