"""What a warehouse holds at the moment of a backup."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version

from alsobought.backup.manifest import Facts, Progress
from alsobought.storage.warehouse import Warehouse


def identity_of(warehouse: Warehouse) -> str:
    """The UUID of its database."""
    sql = "select toString(uuid) from system.databases where name = {database:String}"
    return str(warehouse.trusted_rows(sql, {"database": warehouse.database}).data[0][0])


def facts_of(warehouse: Warehouse, last_batch: int, as_of: datetime | None) -> Facts:
    """On the writer's thread, under its lease."""
    database = warehouse.database
    events, engine = warehouse.trusted_rows(f"select count(), version() from {database}.events").data[0]
    sql = f"select source, partition, max(next_offset) from {database}.ingest_ranges group by all order by all"
    kafka = [
        Progress(source, int(partition), int(offset)) for source, partition, offset in warehouse.trusted_rows(sql).data
    ]
    return Facts(
        alsobought=version("alsobought"),
        engine=str(engine),
        database=database,
        warehouse=identity_of(warehouse),
        events=int(events),
        last_batch=last_batch,
        newest_event_at=as_of if int(events) else None,
        kafka=kafka,
    )
