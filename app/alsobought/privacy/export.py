"""What is stored about one user, for that user: the events, and what the tables that outlive them say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alsobought.storage.count_tables import count_tables
from alsobought.storage.identities import guests_of
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.user_records import REQUEST_NAMES_USER


def export(warehouse: Warehouse, user_id: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(table, its rows), for `events`, each count table that names users, the merges and the requests that named the user.

    Shared counts name nobody: they are left out, and the hashed keys of histories, which the events tell in plain words.
    """
    database, given = warehouse.database, {"user": user_id}
    named = [table for table in count_tables(warehouse) if table.has_user_id]
    yield (
        "events",
        _rows(warehouse, f"select * from {database}.events where user_id = {{user:String}} order by seq", given),
    )
    for table in named:
        keys = ", ".join(table.keys)
        merged = ", ".join(f"{how}(one.{column}) as {column}" for column, how in table.values.items())
        theirs = f"select {keys}, {merged} from {database}.{table.name} as one where user_id = {{user:String}}"
        yield table.name, _rows(warehouse, f"{theirs} group by {keys} order by {keys}", given)
    yield "user_merges", [{"guest_id": guest} for guest in guests_of(warehouse, user_id)]
    asked = REQUEST_NAMES_USER.format("{user:String}")
    yield "requests", _rows(warehouse, f"select * from {database}.requests where {asked} order by time", given)


def _rows(warehouse: Warehouse, sql: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    return warehouse.trusted_rows(sql, given).dicts()
