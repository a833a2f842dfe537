"""The tables as they are at one moment, for a check that takes longer: clones in a database of their own. For the writer's thread.

Between two batches all tables are equal to a recompute; a moment later the next batch is in some and not in others.
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

LOOKS, PAUSE_SECONDS = 5, 0.02


def freeze(writer: Writer, name: str) -> dict[str, Any]:
    """Makes the database `<ours>_<name>`: `events`, as far as none expired, and all count tables.

    Returns its name and the horizon. Raises Busy if a check is reading there, or another process stored meanwhile.
    """
    warehouse = writer.warehouse
    _refuse_if_read(warehouse, f"{warehouse.database}_{name}")
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


def _refuse_if_read(warehouse: Warehouse, database: str) -> None:
    """What nobody reads any more was left behind by a kill. A check that runs hardly pauses between two statements."""
    there = "select count() from system.databases where name = {name:String}"
    read = "select count() from system.processes where position(query, {name:String}) > 0 and query_id != queryID()"
    given = {"name": f"{database}."}
    if not int(warehouse.trusted_rows(there, {"name": database}).data[0][0]):
        return
    for _ in range(LOOKS):
        if int(warehouse.trusted_rows(read, given).data[0][0]):
            raise Busy("a check is under way", "Wait until it has ended, or stop it")
        time.sleep(PAUSE_SECONDS)
