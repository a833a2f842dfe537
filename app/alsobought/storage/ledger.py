"""What the warehouse has already: of a source by offset, of all sources by event_id, and how far a load came.

A source is stored in order and without a gap (`Submission.after`), so that it goes on behind its last offset.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from alsobought.storage.warehouse import Warehouse

MANY_IDS = 1000  # from here on a scan is quicker than asking the index of event_ids for each
# Many values travel as one text, divided by a character that no id holds: an array of 50,000 takes seconds to parse.
LISTED = "select arrayJoin(splitByChar('\\0', {%s:String})) as listed"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load of a file: `reading` stands for how its rows were read, `since` for the first batch that may be its."""

    source: str
    reading: str
    since: int
    refused: int = 0
    finished: bool = False


def resume_at(warehouse: Warehouse, source: str, since: int = 0) -> int:
    """The offset after the last that is stored of a source, by the batches from `since` on; 0 if none is."""
    sql = (
        f"select if(count() = 0, 0, max(last_offset) + 1) from {warehouse.database}.ingest_batches"  # max(x + 1) of none is 1
        " where source = {source:String} and batch >= {since:UInt64}"
    )
    return int(warehouse.trusted_rows(sql, {"source": source, "since": since}).data[0][0])


def read_to(warehouse: Warehouse, source: str, partition: int) -> int:
    """The offset at which reading a partition of Kafka goes on; 0 at first.

    Told by the ranges alone: what was stored and not yet noted is read again, and known by its place.
    """
    sql = f"select max(next_offset) from {warehouse.database}.ingest_ranges"
    sql += " where source = {source:String} and partition = {partition:UInt32}"
    return int(warehouse.trusted_rows(sql, {"source": source, "partition": partition}).data[0][0])


def next_batch(warehouse: Warehouse, source: str) -> int:
    """A number that every batch of a source to come has at least, and none that is stored."""
    sql = f"select max(batch) + 1 from {warehouse.database}.ingest_batches where source = {{source:String}}"
    return int(warehouse.trusted_rows(sql, {"source": source}).data[0][0])


def events_before(warehouse: Warehouse, source: str, offset: int | None = None) -> int:
    """How many events of a source are stored, all of them or those before an offset."""
    sql = f"select sum(events) from {warehouse.database}.ingest_batches final where source = {{source:String}}"
    if offset is not None:
        sql = (
            f"select count() from {warehouse.database}.events where source = {{source:String}} and offset < {offset:d}"
        )
    return int(warehouse.trusted_rows(sql, {"source": source}).data[0][0])


def known_offsets(warehouse: Warehouse, source: str, partition: int, first: int, last: int) -> set[int]:
    """The offsets of a partition in this range that are stored, however long ago. Reads events only if the ledger has such."""
    given = {"source": source, "partition": partition, "first": first, "last": last}
    overlap = (
        f"select count() from {warehouse.database}.ingest_batches where source = {{source:String}}"
        " and partition = {partition:UInt32} and first_offset <= {last:UInt64} and last_offset >= {first:UInt64}"
    )
    if not warehouse.trusted_rows(overlap, given).data[0][0]:
        return set()
    sql = (
        f"select offset from {warehouse.database}.events where source = {{source:String}}"
        " and partition = {partition:UInt32} and offset between {first:UInt64} and {last:UInt64}"
    )
    return {row[0] for row in warehouse.trusted_rows(sql, given).data}


def known_ids(warehouse: Warehouse, ids: Collection[str], since: datetime) -> set[str]:
    """Which of these event_ids were stored after `since`."""
    if not ids:
        return set()
    sql = (
        f"select event_id from {warehouse.database}.events"
        f" where event_id in ({LISTED % 'ids'}) and ingested_at > {{since:DateTime64(3, 'UTC')}}"
    )
    if len(ids) > MANY_IDS:
        sql += " settings use_skip_indexes = 0"
    found = warehouse.trusted_rows(sql, {"ids": "\0".join(ids), "since": since})
    return {row[0] for row in found.data}


def last_load(warehouse: Warehouse, source: str) -> Load | None:
    """What is known of the latest load of a source."""
    sql = (
        f"select source, reading, since, refused, finished from {warehouse.database}.loads"
        " where source = {source:String} order by version desc limit 1"
    )
    rows = warehouse.trusted_rows(sql, {"source": source}).dicts()
    return msgspec.convert(rows[0], Load) if rows else None


def note(warehouse: Warehouse, load: Load) -> None:
    """Remembers how far a load came. Only while the writer has nothing to do: the connection for writing is its own."""
    sql = f"select max(version) + 1 from {warehouse.database}.loads where source = {{source:String}}"
    version = int(warehouse.trusted_rows(sql, {"source": load.source}).data[0][0])
    warehouse.insert("loads", msgspec.json.encode({**msgspec.structs.asdict(load), "version": version}))
