"""Fencing of writers that write to different replicas of a shard.

Rows of `writers` reach the other replicas a moment after they are committed in Keeper. So three things are added to the protocol
of one server (`writer.fencing`):

* An insert tests in its own statement that its replica has every row of `writers` that Keeper has (`storage.fenced_insert`).
* A claimer waits until each replica that is active in Keeper has its claim, and then until the inserts there that may have tested
  before have ended. A replica whose session in Keeper has expired cannot commit anything.
* Before it recovers, it waits until its own replica has what the others have stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from alsobought.errors import AlsoboughtError, NotStored
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.replicas import WAIT_SECONDS
from alsobought.storage.warehouse import Warehouse

POLL_SECONDS = 0.05
INSERTS_IN_PROGRESS = (
    "select count() from system.processes"
    " where startsWith(query, concat('insert into ', {database:String}, '.events '))"
)
REPLICA = "from system.replicas where database = {database:String} and table = 'writers'"


def await_peers(warehouse: ClickHouseWarehouse, epoch: int, until: float) -> None:
    """Waits until no other replica stores a batch of an older epoch any more. Raises NotStored at this time."""
    while warehouse.replicated and (waits_for := _unfenced(warehouse, epoch)):
        if time.monotonic() > until:
            raise NotStored(
                f"replica {waits_for} is active, but cannot be reached, or an insert there has not ended",
                "Is it in ALSOBOUGHT_SHARDS, and does it answer from here?",
            )
        time.sleep(POLL_SECONDS)


def synchronize(warehouse: Warehouse, tables: Iterable[str] = ()) -> None:
    """Waits until the pinned replica has what is committed in Keeper, in these or in all replicated tables, with all mutations.

    Raises NotStored if that takes too long.
    """
    if not warehouse.replicated:
        return
    parameters = {"database": warehouse.database}
    try:
        for table in tables or _replicated_tables(warehouse):
            warehouse.command(f"system sync replica {warehouse.database}.{table} lightweight")
    except AlsoboughtError as error:
        if "TIMEOUT_EXCEEDED" not in f"{error} {error.__cause__}":
            raise
        raise NotStored(
            f"this replica lacks rows of {table} that only another replica has",
            "Start the replica that stored them; with ALSOBOUGHT_INSERT_QUORUM another one has them, too",
        ) from error
    until = time.monotonic() + WAIT_SECONDS
    sql = "select count() from system.mutations where database = {database:String} and not is_done"
    while not tables and warehouse.trusted_rows(sql, parameters).data[0][0]:
        if time.monotonic() > until:
            raise NotStored("a change of stored rows has not ended on this replica", "Look at system.mutations")
        time.sleep(POLL_SECONDS)


def synchronize_all(warehouse: Warehouse) -> None:
    """The same for every replica that answers: a read over all shards may go to any of them."""
    synchronize(warehouse)
    if warehouse.replicated:
        tables = _replicated_tables(warehouse)
        warehouse.command_on_peers(
            *(f"system sync replica {warehouse.database}.{table} lightweight" for table in tables)
        )


def _replicated_tables(warehouse: Warehouse) -> list[str]:
    sql = "select table from system.replicas where database = {database:String}"
    return [str(table) for (table,) in warehouse.trusted_rows(sql, {"database": warehouse.database}).data]


def _unfenced(warehouse: ClickHouseWarehouse, epoch: int) -> str:
    """A replica that is active in Keeper, and may still store a batch of an older epoch; empty if there is none."""
    parameters = {"database": warehouse.database}
    sql = f"select replica_name, mapKeys(mapFilter((name, active) -> active, replica_is_active)) {REPLICA}"
    own_name, active = warehouse.trusted_rows(sql, parameters).data[0]
    fenced = {own_name}
    sql = f"select replica_name, (select max(epoch) from {warehouse.database}.writers) {REPLICA}"
    claims = warehouse.peers.rows(sql, parameters)
    inserts = warehouse.peers.rows(
        INSERTS_IN_PROGRESS, parameters
    )  # after the claims: what tested before them is among these
    for claim, running in zip(claims, inserts, strict=True):
        if claim and running and claim.data and int(claim.data[0][1]) >= epoch and not running.data[0][0]:
            fenced.add(claim.data[0][0])
    return next((name for name in active if name not in fenced), "")
