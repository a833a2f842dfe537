"""The same migrations on a cluster: text to text. Untested here: no cluster has run it.

A table `events` becomes two: `events_local` on each shard, replicated, and `events`, Distributed, which everybody asks. A
materialized view reads and writes what is on its own shard. The journal and the lock stay on the node that is asked, so
migrations must always go through the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from alsobought.migrations.statement import Edit, Statement, at_top, edited, read_statement, repeatable

LOCAL = "_local"
WINDOW = "non_replicated_deduplication_window"


def on_cluster(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> list[str]:
    """The statements that do on every node what this one does on a single one, in order, each repeatable.

    `tables` are the names that have a `_local` side: all that any migration creates.
    """
    made = {"create": _create, "alter": _alter, "drop": _drop}[statement.verb]
    return list(made(statement, database, cluster, tables))


def create_database(database: str, cluster: str) -> str:
    return f"create database if not exists {database} on cluster '{cluster}'"


def _create(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> Iterator[str]:
    name, sql = statement.name, repeatable(statement)
    here = read_statement(sql, database)
    place, everywhere = here.after(here.at), f" on cluster '{cluster}'"
    if here.kind == "table":
        edits = [Edit(place, place, LOCAL + everywhere), *_engine(here, database), *_window(here)]
        yield edited(sql, edits)
        yield (
            f"create table if not exists {database}.{name}{everywhere} as {database}.{name}{LOCAL}\n"
            f"engine = Distributed('{cluster}', '{database}', '{name}{LOCAL}', {sharding_key(statement)})"
        )
    elif here.kind == "materialized view":
        yield edited(sql, [Edit(place, place, everywhere), *_locals(here, database, tables)])
    elif here.kind == "dictionary":  # its query may ask a Distributed table inside another's IN
        yield edited(sql, [Edit(place, place, everywhere)]) + "\nsettings(distributed_product_mode = 'global')"
    else:
        yield edited(sql, [Edit(place, place, everywhere)])


def _alter(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> Iterator[str]:
    sql = repeatable(statement)
    here = read_statement(sql, database)
    place = here.after(here.at)
    local = LOCAL if here.name in tables else ""
    yield edited(sql, [Edit(place, place, f"{local} on cluster '{cluster}'"), *_window(here)])
    columns = [command for command in here.commands if command.noun == "column" and command.verb != "materialize"]
    if local and columns:
        texts = [sql[here.tokens[c.first].start : here.after(c.end - 1)] for c in columns]
        yield f"alter table {database}.{here.name} on cluster '{cluster}' {', '.join(texts)}"


def _drop(statement: Statement, database: str, cluster: str, tables: Collection[str]) -> Iterator[str]:
    """The Distributed one first, so that nobody asks it for what is gone; `sync` frees the name in Keeper."""
    yield f"drop {statement.kind} if exists {database}.{statement.name} on cluster '{cluster}' sync"
    if statement.kind == "table" and statement.name in tables:
        yield f"drop table if exists {database}.{statement.name}{LOCAL} on cluster '{cluster}' sync"


def sharding_key(statement: Statement) -> str:
    """Where a row lives: all of a user on one shard, because the views join a user's events with each other.

    >>> sharding_key(read_statement("create table shop.t (day Date, user_id String) engine = Log", "shop"))
    'cityHash64(user_id)'
    """
    words = statement.words
    top = [place for place, word in at_top(words) if word in ("(", ")") and place > statement.at]
    inside = words[top[0] + 1 : top[1]] if len(top) > 1 else []
    columns = {inside[place + 1] for place, word in at_top(inside[:-1]) if word == ","} | set(inside[:1])
    for column in ("user_id", "item_id"):
        if column in columns:
            return f"cityHash64({column})"
    return "rand()"


def _engine(statement: Statement, database: str) -> Iterator[Edit]:
    """MergeTree(x) → ReplicatedMergeTree('path', '{replica}', x)"""
    words = statement.words
    for place, word in at_top(words):
        if word == "engine" and words[place + 2].endswith("mergetree"):
            name = statement.tokens[place + 2]
            path = f"'/clickhouse/tables/{{shard}}/{database}/{statement.name}{LOCAL}', '{{replica}}'"
            yield Edit(name.start, name.start, "Replicated")
            if words[place + 3 : place + 4] == ["("]:
                comma = "" if words[place + 4] == ")" else ", "
                yield Edit(statement.after(place + 3), statement.after(place + 3), path + comma)
            else:
                yield Edit(statement.after(place + 2), statement.after(place + 2), f"({path})")


def _window(statement: Statement) -> Iterator[Edit]:
    for token, word in zip(statement.tokens, statement.words, strict=True):
        if word == WINDOW:
            yield Edit(token.start, token.end + 1, WINDOW.removeprefix("non_"))


def _locals(statement: Statement, database: str, tables: Collection[str]) -> Iterator[Edit]:
    """shop.events → shop.events_local"""
    words = statement.words
    for place in range(len(words) - 2):
        if words[place] == database and words[place + 1] == "." and words[place + 2] in tables:
            end = statement.after(place + 2)
            yield Edit(end, end, LOCAL)
