"""Snapshots for checks that outlast a batch: clones of all tables in a database of their own.

The writer's thread takes them. Between two batches all tables are equal to a recompute; a moment
later some have the next batch and others do not.
"""

from __future__ import annotations

import time
from typing import Any

from alsobought.errors import Busy
from alsobought.storage.count_tables import count_tables
from alsobought.storage.retention import horizon
from alsobought.storage.scratch_database import Scratch
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.fencing import LeaseLost
from alsobought.writer.writer import Writer

ATTEMPTS, PAUSE_SECONDS = 5, 0.02


def snapshot(writer: Writer, name: str) -> dict[str, Any]:
    """Creates the database `<ours>_<name>` with clones of `events` and of all count tables.

    Expired events are left out. Returns its name and the retention horizon. Raises Busy if a check
    reads there, or another process stored events meanwhile.
    """
    warehouse = writer.warehouse
    _require_unread(warehouse, f"{warehouse.database}_{name}")
    scratch = Scratch(warehouse, name)
    try:
        since = horizon(warehouse, writer.settings, writer.clock())
        for table in ("events", *(table.name for table in count_tables(warehouse))):
            scratch.clone(table)
        if since:
            scratch.restrict_events(since)
        writer.confirm()
    except LeaseLost as error:
        scratch.drop()
        raise Busy("another process stored events meanwhile", "Check again") from error
    except BaseException:
        scratch.drop()
        raise
    return {"database": scratch.name, "horizon": since}


def _require_unread(warehouse: Warehouse, database: str) -> None:
    """Raises Busy if a query reads the database; an unread one was left by a kill.

    A check hardly pauses between queries.
    """
    exists = "select count() from system.databases where name = {name:String}"
    readers = "select count() from system.processes where match(query, {name:String}) and query_id != queryID()"
    if not int(warehouse.trusted_rows(exists, {"name": database}).data[0][0]):
        return
    for _ in range(ATTEMPTS):
        if int(warehouse.trusted_rows(readers, {"name": rf"\b{database}\."}).data[0][0]):
            raise Busy("a check is in progress", "Wait until it has ended, or stop it")
        time.sleep(PAUSE_SECONDS)
