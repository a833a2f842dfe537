"""The same migrations for a shard with replicas: text to text.

MergeTree becomes ReplicatedMergeTree, with the macros {shard} and {replica} of the server in its arguments. The table of a
key-value engine becomes two: `<name>_rows`, which is replicated and keeps the newest row of a key, and `<name>`, a view of it.

These statements run on one replica of a shard. The others copy its schema (`migrations.replicas`), because a replica that joins
must create each table as it is by then, not as it was at first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from alsobought.migrations.statement import Statement, read_statement, repeatable
from alsobought.migrations.tokens import Edit, at_top, edited
from alsobought.storage.replicated_tables import KEY_VALUE_ENGINE, rows_of

WINDOW = "non_replicated_deduplication_window"
FOR_EVER = "replicated_deduplication_window_seconds = 315360000"  # a recovery after any time must find the token of the last batch
NO_WINDOW = "replicated_deduplication_window = 0"  # as MergeTree: an equal insert is another one
PRIMARY_KEY = "primary key"  # one token
ROWS_GRANULARITY = 128


def on_replica(statement: Statement, database: str, by_key: Collection[str]) -> list[str]:
    """The statements that have the same effect on a replica, in order, each repeatable.

    `by_key` are the tables that any migration creates with a key-value engine.
    """
    render = {"create": _create, "alter": _alter, "drop": _drop}[statement.verb]
    return list(render(statement, database, by_key))


def _create(statement: Statement, database: str, by_key: Collection[str]) -> Iterator[str]:
    sql = repeatable(statement)
    guarded = read_statement(sql, database)
    if statement.kind == "table" and statement.name in by_key:
        yield edited(sql, [*_renamed(guarded), *_engine(guarded, database), *_sorted(guarded), *_window(guarded)])
        yield _view(statement.name, database, "create view if not exists")
    elif statement.kind == "table" and statement.engine.endswith("mergetree"):
        yield edited(sql, [*_engine(guarded, database), *_window(guarded)])
    else:
        yield sql


def _alter(statement: Statement, database: str, by_key: Collection[str]) -> Iterator[str]:
    sql = repeatable(statement)
    guarded = read_statement(sql, database)
    if statement.name in by_key:
        yield edited(sql, _renamed(guarded))
        yield _view(statement.name, database, "create or replace view")
    else:
        yield edited(sql, _named_window(guarded))


def _drop(statement: Statement, database: str, by_key: Collection[str]) -> Iterator[str]:
    """`sync` frees the name in Keeper."""
    if statement.name in by_key:
        yield f"drop view if exists {database}.{statement.name} sync"
        yield f"drop table if exists {database}.{rows_of(statement.name)} sync"
    else:
        yield f"drop {statement.kind.split()[-1]} if exists {database}.{statement.name} sync"


def _view(name: str, database: str, create: str) -> str:
    return f"{create} {database}.{name} as select * from {database}.{rows_of(name)} final"


def _renamed(statement: Statement) -> list[Edit]:
    token = statement.tokens[statement.name_index]
    return [Edit(token.start, token.end + 1, rows_of(statement.name))]


def _engine(statement: Statement, database: str) -> Iterator[Edit]:
    """MergeTree(x) → ReplicatedMergeTree('path', '{replica}', x)"""
    words = statement.words
    for index, word in at_top(words):
        if word == "engine":
            name, by_key = statement.tokens[index + 2], words[index + 2] == KEY_VALUE_ENGINE.lower()
            table = rows_of(statement.name) if by_key else statement.name
            path = f"'/clickhouse/tables/{{shard}}/{database}/{table}', '{{replica}}'"
            engine = "ReplacingMergeTree" if by_key else name.text
            if words[index + 3 : index + 4] != ["("]:
                yield Edit(name.start, name.end + 1, f"Replicated{engine}({path})")
            else:
                comma = "" if words[index + 4] == ")" else ", "
                yield Edit(name.start, statement.end_of(index + 3), f"Replicated{engine}({path}{comma}")


def _sorted(statement: Statement) -> Iterator[Edit]:
    """primary key x → order by x"""
    for index, word in at_top(statement.words):
        if word == PRIMARY_KEY:
            yield Edit(statement.tokens[index].start, statement.end_of(index), "order by")


def _window(statement: Statement) -> Iterator[Edit]:
    """The deduplication window of the table, and how long a token is kept, in the settings at the end."""
    words = statement.words
    if WINDOW in words:
        yield from _named_window(statement)
        yield Edit(len(statement.sql), len(statement.sql), f", {FOR_EVER}")
        return
    granularity = f", index_granularity = {ROWS_GRANULARITY}" if PRIMARY_KEY in words else ""
    before = ", " if any(word == "settings" for _, word in at_top(words)) else "\nsettings "
    yield Edit(len(statement.sql), len(statement.sql), f"{before}{NO_WINDOW}{granularity}")


def _named_window(statement: Statement) -> list[Edit]:
    return [
        Edit(token.start, token.end + 1, WINDOW.removeprefix("non_"))
        for token, word in zip(statement.tokens, statement.words, strict=True)
        if word == WINDOW
    ]
