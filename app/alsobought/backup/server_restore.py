"""Have a ClickHouse server restore its backup, and mend what RESTORE leaves as it was."""

from __future__ import annotations

import re
import uuid

from alsobought.backup.manifest import Manifest
from alsobought.backup.server_operations import base_settings, follow, start
from alsobought.backup.store import SERVER, Store
from alsobought.counts.rebuild import ProgressBar
from alsobought.errors import Unusable
from alsobought.failpoints import reach
from alsobought.storage.sql_text import quoted
from alsobought.storage.topology import all_shards
from alsobought.storage.warehouse import Warehouse


def restore_server(warehouse: Warehouse, store: Store, manifest: Manifest, into: str, bar: ProgressBar) -> None:
    """Has the server restore a backup into an empty database. Raises Unusable."""
    copy = manifest.server
    if copy is None:
        raise Unusable(
            f"{manifest.id} is the backup of an embedded warehouse", "Restore it without ALSOBOUGHT_DSN, into a folder"
        )
    identity = str(uuid.uuid4())
    base = base_settings(store.clickhouse(f"{SERVER}/{copy.base}") if copy.base else "")
    start(
        warehouse,
        f"restore database {manifest.facts.database} as {into} from {store.clickhouse(copy.folder)}"
        f" settings id = {quoted(identity)}, async = 1, allow_different_database_def = 1{base}",
    )
    follow(warehouse, identity, "Restoring", bar, f"the backup {manifest.id} was not restored")
    _point_dictionaries(warehouse, manifest.facts.database, into)
    _load_again(warehouse, into)


def _point_dictionaries(warehouse: Warehouse, old: str, new: str) -> None:
    """RESTORE gives views the new name of their database, but not the queries of dictionaries, which are text."""
    sql = "select create_table_query from system.tables where database = {database:String} and engine = 'Dictionary'"
    for (statement,) in warehouse.trusted_rows(sql, {"database": new}).data if old != new else []:
        moved = re.sub(
            rf"\b(?:{old}|{all_shards(old)})\.", f"{new}.", statement
        )  # of a cluster, `migrate up` says so again
        warehouse.command(moved.replace("CREATE DICTIONARY", "CREATE OR REPLACE DICTIONARY", 1))


def _load_again(warehouse: Warehouse, database: str) -> None:
    """Has the server count blocks anew. RESTORE leaves a part the number of its last change, and counts from 1.

    A change with a smaller number than that of a part would pass it by: who is forgotten would stay.
    """
    warehouse.command(f"detach database {database}")
    reach("restore.detached")
    warehouse.command(f"attach database {database}")
