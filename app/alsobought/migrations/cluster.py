"""The same migrations for a cluster: text to text. Untested here: no cluster has run it.

A table `events` becomes two: `events_local` on each shard, replicated, and `events`, a Distributed
table that queries read. A materialized view reads and writes the tables of its own shard. The
journal and the lock are on the node that runs the migrations, so always migrate through the same
one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from alsobought.migrations.statement import Statement, read_statement, repeatable
from alsobought.migrations.tokens import Edit, at_top, edited

LOCAL = "_local"
WINDOW = "non_replicated_deduplication_window"


def on_cluster(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> list[str]:
    """The statements that have the same effect on every node, in order, each repeatable.

    `tables` are the names that have a `_local` table: all that any migration creates.
    """
    render = {"create": _create, "alter": _alter, "drop": _drop}[statement.verb]
    return list(render(statement, database, cluster, tables))


def create_database(database: str, cluster: str) -> str:
    return f"create database if not exists {database} on cluster '{cluster}'"


def _create(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> Iterator[str]:
    name, sql = statement.name, repeatable(statement)
    local = read_statement(sql, database)
    offset, clause = local.end_of(local.name_index), f" on cluster '{cluster}'"
    if local.kind == "table":
        edits = [Edit(offset, offset, LOCAL + clause), *_engine(local, database), *_window(local)]
        yield edited(sql, edits)
        yield (
            f"create table if not exists {database}.{name}{clause} as {database}.{name}{LOCAL}\n"
            f"engine = Distributed('{cluster}', '{database}', '{name}{LOCAL}', {sharding_key(statement)})"
        )
    elif local.kind == "materialized view":
        yield edited(sql, [Edit(offset, offset, clause), *_local_tables(local, database, tables)])
    elif local.kind == "dictionary":  # its query may read a Distributed table inside the IN of another
        yield edited(sql, [Edit(offset, offset, clause)]) + "\nsettings(distributed_product_mode = 'global')"
    else:
        yield edited(sql, [Edit(offset, offset, clause)])


def _alter(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> Iterator[str]:
    sql = repeatable(statement)
    local = read_statement(sql, database)
    offset = local.end_of(local.name_index)
    suffix = LOCAL if local.name in tables else ""
    yield edited(sql, [Edit(offset, offset, f"{suffix} on cluster '{cluster}'"), *_window(local)])
    columns = [command for command in local.commands if command.noun == "column" and command.verb != "materialize"]
    if suffix and columns:
        texts = [sql[local.tokens[c.first].start : local.end_of(c.end - 1)] for c in columns]
        yield f"alter table {database}.{local.name} on cluster '{cluster}' {', '.join(texts)}"


def _drop(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> Iterator[str]:
    """The Distributed table first: no query reaches a missing one.

    `sync` frees the name in Keeper.
    """
    yield f"drop {statement.kind} if exists {database}.{statement.name} on cluster '{cluster}' sync"
    if statement.kind == "table" and statement.name in tables:
        yield f"drop table if exists {database}.{statement.name}{LOCAL} on cluster '{cluster}' sync"


def sharding_key(statement: Statement) -> str:
    """The expression that picks a row's shard: one for a user, as views join a user's events.

    >>> sharding_key(read_statement("create table shop.t (day Date, user_id String) engine = Log", "shop"))
    'cityHash64(user_id)'
    """
    words = statement.words
    brackets = [index for index, word in at_top(words) if word in ("(", ")") and index > statement.name_index]
    inside = words[brackets[0] + 1 : brackets[1]] if len(brackets) > 1 else []
    columns = {inside[index + 1] for index, word in at_top(inside[:-1]) if word == ","} | set(inside[:1])
    for column in ("user_id", "item_id"):
        if column in columns:
            return f"cityHash64({column})"
    return "rand()"


def _engine(statement: Statement, database: str) -> Iterator[Edit]:
    """MergeTree(x) → ReplicatedMergeTree('path', '{replica}', x)"""
    words = statement.words
    for index, word in at_top(words):
        if word == "engine" and words[index + 2].endswith("mergetree"):
            name = statement.tokens[index + 2]
            path = f"'/clickhouse/tables/{{shard}}/{database}/{statement.name}{LOCAL}', '{{replica}}'"
            yield Edit(name.start, name.start, "Replicated")
            if words[index + 3 : index + 4] == ["("]:
                comma = "" if words[index + 4] == ")" else ", "
                yield Edit(statement.end_of(index + 3), statement.end_of(index + 3), path + comma)
            else:
                yield Edit(statement.end_of(index + 2), statement.end_of(index + 2), f"({path})")


def _window(statement: Statement) -> Iterator[Edit]:
    for token, word in zip(statement.tokens, statement.words, strict=True):
        if word == WINDOW:
            yield Edit(token.start, token.end + 1, WINDOW.removeprefix("non_"))


def _local_tables(statement: Statement, database: str, tables: Collection[str]) -> Iterator[Edit]:
    """shop.events → shop.events_local"""
    words = statement.words
    for index in range(len(words) - 2):
        if words[index] == database and words[index + 1] == "." and words[index + 2] in tables:
            end = statement.end_of(index + 2)
            yield Edit(end, end, LOCAL)
