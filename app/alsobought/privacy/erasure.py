"""Erase a user, and issue the receipt; `writer.user_rewrite` rewrites the rows.

On the writer's thread (`service.maintenance`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from alsobought.counts.shadow_table import discard_all
from alsobought.errors import Unusable
from alsobought.storage.count_tables import count_tables
from alsobought.storage.identities import accounts_of, merges_into, user_key
from alsobought.storage.retention import expired_before, horizon
from alsobought.storage.serving_tables import serving_tables
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.rewrite_context import UserRewrite
from alsobought.writer.user_move import accounts_across
from alsobought.writer.user_rewrite import RewrittenTable, rewrite_users
from alsobought.writer.writer import Writer


class Verification(msgspec.Struct, frozen=True):
    """The remains of an erased user: rows by table, and the number of events `since` the erasure.

    `sealed`: the receipt was not altered. `recorded`: this warehouse has a record of the erasure.
    """

    sealed: bool
    recorded: bool
    remaining: dict[str, int]
    since: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that a user was erased.

    `user_key` is cityHash64 of the user_id, so that it does not reveal the name.

    `not_seen` names what could not be examined. `checksum`, a SHA-256 of the other fields as JSON,
    seals them.
    """

    user_key: str
    forgotten_at: str
    seconds: float
    tables: list[RewrittenTable]
    not_seen: str
    checksum: str = ""

    def sealed(self) -> Receipt:
        plain = msgspec.json.encode(msgspec.structs.replace(self, checksum=""))
        return msgspec.structs.replace(self, checksum=hashlib.sha256(plain).hexdigest())


def verify(warehouse: Warehouse, receipt: Receipt, home: Path) -> Verification:
    """Searches every table that names users.

    `check` proves that the other tables hold nothing of the user.
    """
    parameters = {"key": int(receipt.user_key), "at": receipt.forgotten_at.removesuffix("Z")}
    database = warehouse.database

    def count(table: str, condition: str) -> int:
        sql = f"select count() from {database}.{table} where {condition}"
        return int(warehouse.trusted_rows(sql, parameters).data[0][0])

    of_user, later = "cityHash64(user_id) = {key:UInt64}", "timestamp > {at:DateTime64(3, 'UTC')}"
    since = count("events", f"{of_user} and {later}")
    stored_before = "updated_at <= {at:DateTime64(3, 'UTC')}"
    remaining = {"events": count("events", f"{of_user} and not ({later})")}
    remaining["users"] = count("users", f"{of_user} and {stored_before}")
    older = f"(user_id, item_id) not in (select user_id, item_id from {database}.events where {of_user} and {later})"
    for table in count_tables(warehouse):
        if table.has_user_id and "item_id" in table.keys:
            remaining[table.name] = count(table.name, f"{of_user} and {older}")
        elif table.has_user_id:
            remaining[table.name] = 0 if since else count(table.name, of_user)
    for serving in serving_tables(home, database):
        if serving.key == "user_id":
            remaining[serving.name] = 0 if since else count(serving.name, of_user)
    recorded = count("forgotten_users", "user_key = {key:UInt64}") > 0
    return Verification(receipt.sealed() == receipt, recorded, remaining, since)


def forget(writer: Writer, user_id: str) -> dict[str, Any]:
    """Erases a user, with all guests merged into it, from every table; returns the fields of a
    Receipt.

    Idempotent: a second call deletes nothing. Raises Unusable for a guest that was merged into an
    account.
    """
    return forget_in([writer], user_id)


def forget_in(writers: Sequence[Writer], user_id: str) -> dict[str, Any]:
    """The same for the writers of all shards: an event of a guest that still arrives goes to the guest's shard.

    The shard with the user's merges comes last, so that after a crash a second call still finds the guests.
    """
    first = writers[0]
    now = first.clock()
    if account := accounts_across(writers, [user_id]).get(user_id):
        hint = "Forget that account: it is the same user; if it is not, `alsobought unmerge` first"
        raise Unusable(f"{user_id!r} was merged into {account!r}", hint)
    guests = {writer: [merge.guest_id for merge in merges_into(writer.warehouse, user_id)] for writer in writers}
    users = list(dict.fromkeys([user_id, *(guest for of_shard in guests.values() for guest in of_shard)]))
    since = max(horizon(writer.warehouse, writer.settings, now) for writer in writers)
    key = user_key(first.warehouse, user_id)
    parts = [
        rewrite(writer, UserRewrite(users, "", now, horizon(writer.warehouse, writer.settings, now)))
        for writer in sorted(writers, key=lambda writer: len(guests[writer]))
    ]
    expired = expired_before(since)
    receipt = Receipt(
        user_key=key,
        forgotten_at=f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        seconds=round((first.clock() - now).total_seconds(), 3),
        tables=summed(parts),
        not_seen=f"{expired}; their part in shared counts remains, without a name" if expired else "",
    )
    fields: dict[str, Any] = msgspec.to_builtins(receipt.sealed())
    return fields


def summed(parts: Iterable[Sequence[RewrittenTable]]) -> list[RewrittenTable]:
    """The rows of each table in all shards. The checksum of their rows is that of one shard that had them all."""
    tables: dict[str, RewrittenTable] = {}
    for part in chain.from_iterable(parts):
        other = tables.get(part.table, RewrittenTable(part.table, 0, 0, "0"))
        checksum = int(other.checksum, 16) ^ int(part.checksum, 16)
        before, after = other.rows_before + part.rows_before, other.rows_after + part.rows_after
        tables[part.table] = RewrittenTable(
            part.table, before, after, checksum.to_bytes(8).hex().upper().lstrip("0") or "00"
        )
    return list(tables.values())


def forget_again(writer: Writer, erasures: Sequence[dict[str, str]]) -> list[str]:
    """Erases the users who were forgotten after the backup that this warehouse was restored from.

    Each erasure has a `user_key` and the time `forgotten_at`: older events that still arrive are
    dropped, and those of a user who returned since then count. Returns the users who could not be
    erased, since they are guests of an account that was not forgotten.
    """
    warehouse = writer.warehouse
    times = {int(erasure["user_key"]): erasure["forgotten_at"] for erasure in erasures}
    if not times:
        return []
    rows = [{"user_key": key, "forgotten_at": at} for key, at in times.items()]
    warehouse.insert("forgotten_users", b"\n".join(map(msgspec.json.encode, rows)))
    database, keys = warehouse.database, ", ".join(map(str, times))
    names = " union distinct ".join(
        f"select user_id from {database}.{table} where cityHash64(user_id) in ({keys})" for table in ("events", "users")
    )
    users = {
        str(user): key
        for user, key in warehouse.trusted_rows(f"select user_id, cityHash64(user_id) from ({names})").data
    }
    left = [user for user, account in accounts_of(warehouse, list(users)).items() if account not in users]
    for user, key in users.items():
        if user not in left:
            at = datetime.fromisoformat(times[int(key)]).replace(tzinfo=UTC)
            guests = (merge.guest_id for merge in merges_into(warehouse, user))
            rewrite(writer, UserRewrite([user, *guests], "", at, horizon(warehouse, writer.settings, writer.clock())))
    writer.identities.refresh()
    return sorted(left)


def rewrite(writer: Writer, request: UserRewrite) -> list[RewrittenTable]:
    """Rewrites rows, on the writer's thread: afterwards the cached answers and who is merged are known anew."""
    parts = rewrite_users(writer.warehouse, writer.take_seq(), request, writer.confirm, writer.serving.tables)
    discard_all(writer.warehouse)
    writer.identities.refresh()
    writer.on_rewritten()
    return parts
