"""Checks of a cluster: of each node as a server, of how the nodes know each other, and of where the users' events are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing

from alsobought.diagnostics.findings import Finding
from alsobought.diagnostics.isolation import run_check
from alsobought.diagnostics.warehouse_checks import check_node, check_shop, is_migrated
from alsobought.redaction import shown_address
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.cluster import ClusterWarehouse, open_cluster
from alsobought.storage.topology import Shard, node_settings, shards_of
from alsobought.storage.warehouse import Warehouse

SAMPLE = 100_000  # events of a shard whose users are looked at
CONFIGURE = "Write the same <remote_servers> on every node, with the shards in the order of ALSOBOUGHT_SHARDS"


def check_cluster(settings: Settings) -> Iterator[Finding]:
    """All checks of a cluster. Unless every node is migrated, those that read its tables are skipped."""
    migrated = True
    for shard in shards_of(settings):
        for dsn in shard.replicas:
            of_node = list(run_check("cluster", lambda _, on=(shard, dsn): _check_node(settings, *on), settings))  # type: ignore[misc]
            migrated = migrated and is_migrated(of_node)
            for finding in of_node:
                yield dataclasses.replace(finding, message=f"{shown_address(dsn)}: {finding.message}")
    if migrated:
        with closing(open_cluster(settings)) as warehouse:
            reads = list(run_check("cluster", lambda _: check_reads(warehouse), settings))
            yield from reads
            yield from run_check("cluster", lambda _: check_placement(warehouse), settings)
            if all(finding.state == "ok" for finding in reads):
                yield from check_shop(warehouse, settings)


def _check_node(settings: Settings, shard: Shard, dsn: str) -> Iterator[Finding]:
    one = node_settings(settings, dsn)
    with closing(open_warehouse(one, create=False, must_exist=False)) as warehouse:
        yield from check_node(warehouse, one)
        yield from check_membership(warehouse, settings.cluster, shard.number, len(shards_of(settings)))


def check_membership(node: Warehouse, cluster: str, number: int, shards: int) -> Iterator[Finding]:
    """The node knows the cluster, and itself as a replica of this shard of it."""
    sql = "select uniqExact(shard_num), groupArrayIf(shard_num, is_local) from system.clusters where cluster = {cluster:String}"
    known, own = node.trusted_rows(sql, {"cluster": cluster}).data[0]
    if int(known) != shards:
        message = f"the cluster {cluster} has {known} shards there, ALSOBOUGHT_SHARDS has {shards}"
        yield Finding("cluster", "fault", message, CONFIGURE)
    elif own and number not in [int(one) for one in own]:
        message = f"the node is shard {own[0]} of the cluster {cluster}, in ALSOBOUGHT_SHARDS it is shard {number}"
        yield Finding("cluster", "fault", message, CONFIGURE)
    else:
        yield Finding("cluster", "ok", f"the node is shard {number} of {shards} of the cluster {cluster}")


def check_reads(warehouse: ClusterWarehouse) -> Iterator[Finding]:
    """The node that answers for all shards reaches each of them, and sees their events."""
    sql = "select count() from system.databases where name = {database:String}"
    if not int(warehouse.trusted_rows(sql, {"database": warehouse.database}).data[0][0]):
        message = f"there is no database {warehouse.database} with the tables of all shards"
        yield Finding("cluster", "fault", message, "Run `alsobought migrate up`, which makes it on every node")
        return
    together = int(warehouse.trusted_rows(f"select count() from {warehouse.database}.events").data[0][0])
    alone = [
        int(shard.trusted_rows(f"select count() from {shard.database}.events").data[0][0]) for shard in warehouse.shards
    ]
    if together < sum(alone):
        message = f"{warehouse.database}.events has {together:,} events, the shards have {sum(alone):,}"
        yield Finding("cluster", "fault", message, CONFIGURE)
    else:
        yield Finding("cluster", "ok", f"reads see all shards: {', '.join(f'{events:,}' for events in alone)} events")


def check_placement(warehouse: ClusterWarehouse) -> Iterator[Finding]:
    """Each shard has the events of its own users, as the number of shards gives them."""
    shards, wrong, looked_at = len(warehouse.shards), 0, 0
    for index, shard in enumerate(warehouse.shards):
        sql = (
            f"select countIf(CRC32(user_id) % {shards} != {index}), count()"
            f" from (select user_id from {shard.database}.events limit {SAMPLE})"
        )
        elsewhere, events = map(int, shard.trusted_rows(sql).data[0])
        wrong, looked_at = wrong + elsewhere, looked_at + events
    if wrong:
        message = f"{wrong:,} of {looked_at:,} events are on another shard than their users belong to"
        advice = "ALSOBOUGHT_SHARDS has another number of shards than when they were stored: run `alsobought reshard`"
        yield Finding("cluster", "fault", message, advice)
    elif looked_at:
        yield Finding("cluster", "ok", f"users are on their shards, by {looked_at:,} events")
