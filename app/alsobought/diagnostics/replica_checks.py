"""Checks of the replicas of a cluster: that each node answers, has the macros of its place, and keeps up with the others."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from alsobought.diagnostics.findings import Finding
from alsobought.errors import AlsoboughtError
from alsobought.redaction import shown_address
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.topology import Shard, node_settings, shards_of

MACROS = "the paths of replicated tables are made of the macros {shard} and {replica}: set both in the configuration of the server"
MAX_DELAY_SECONDS = 60


def check_replicas(settings: Settings) -> Iterator[Finding]:
    """For each shard that has several replicas."""
    for shard in shards_of(settings) if settings.shards else []:
        if len(shard.replicas) > 1:
            macros = {}
            for dsn in shard.replicas:
                try:
                    macros[dsn] = yield from _check_node(settings, dsn)
                except AlsoboughtError as error:
                    yield Finding("replicas", "fault", f"{shown_address(dsn)}: {error.message}", error.hint)
            yield from _check_macros(shard, [value for value in macros.values() if value])


def _check_node(settings: Settings, dsn: str) -> Generator[Finding, None, tuple[str, str] | None]:
    """Returns the macros {shard} and {replica}, or None if one is missing."""
    node = open_warehouse(node_settings(settings, dsn), create=False, must_exist=False)
    try:
        sql = "select macro, substitution from system.macros where macro in ('shard', 'replica')"
        macros = dict(node.trusted_rows(sql).data)
        if len(macros) < 2:
            missing = " and ".join(f"{{{name}}}" for name in ("shard", "replica") if name not in macros)
            yield Finding("replicas", "fault", f"{shown_address(dsn)} has no macro {missing}", MACROS)
        sql = "select countIf(is_readonly), max(absolute_delay) from system.replicas where database = {database:String}"
        read_only, delay = map(int, node.trusted_rows(sql, {"database": node.database}).data[0])
        if read_only:
            message = f"{shown_address(dsn)}: {read_only} tables are read-only"
            yield Finding("replicas", "fault", message, "It has no session in Keeper: look at its log")
        elif delay > MAX_DELAY_SECONDS:
            message = f"{shown_address(dsn)} is {delay:,} s behind"
            yield Finding("replicas", "warning", message, "Look at system.replication_queue there")
        return (macros["shard"], macros["replica"]) if len(macros) == 2 else None
    finally:
        node.close()


def _check_macros(shard: Shard, macros: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    if len({name for name, _ in macros}) > 1:
        names = ", ".join(sorted({name for name, _ in macros}))
        yield Finding("replicas", "fault", f"the macro {{shard}} differs within shard {shard.number}: {names}", MACROS)
    elif len({name for _, name in macros}) < len(macros):
        yield Finding(
            "replicas", "fault", f"two replicas of shard {shard.number} have the same macro {{replica}}", MACROS
        )
    elif len(macros) == len(shard.replicas):
        yield Finding("replicas", "ok", f"shard {shard.number} has {len(macros)} replicas, which all answer")
