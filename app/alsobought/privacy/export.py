"""Export what is stored about one user: the events, and the rows of tables that outlive them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alsobought.storage.count_tables import count_tables
from alsobought.storage.identities import merges_into
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.user_records import REQUEST_NAMES_USER
from alsobought.writer.user_rows import shown_user, stored_users


def export(warehouse: Warehouse, user_id: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(table, its rows) of `events`, each count table that names users, the attributes, the merges,
    and the requests for the user.

    Left out: shared counts, which name nobody, and histories with hashed keys, whose contents the
    events have in plain text.
    """
    database, parameters = warehouse.database, {"user": user_id}
    yield (
        "events",
        _rows(warehouse, f"select * from {database}.events where user_id = {{user:String}} order by seq", parameters),
    )
    for table in count_tables(warehouse):
        if not table.has_user_id:
            continue
        keys = ", ".join(table.keys)
        merged = ", ".join(f"{how}(stored.{column}) as {column}" for column, how in table.values.items())
        select = f"select {keys}, {merged} from {database}.{table.name} as stored where user_id = {{user:String}}"
        yield table.name, _rows(warehouse, f"{select} group by {keys} order by {keys}", parameters)
    guests = [merge.guest_id for merge in merges_into(warehouse, user_id)]
    users = stored_users(warehouse, [user_id, *guests])
    yield "users", [shown_user(users[one]) for one in (user_id, *guests) if one in users and users[one].attributes]
    yield "user_merges", [{"guest_id": guest} for guest in guests]
    names_user = " or ".join(REQUEST_NAMES_USER.format(quoted(user)) for user in (user_id, *guests))
    yield (
        "requests",
        _rows(warehouse, f"select * from {database}.requests where {names_user} order by time", parameters),
    )


def _rows(warehouse: Warehouse, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return warehouse.trusted_rows(sql, parameters).dicts()
