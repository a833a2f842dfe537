"""Forget a user, merge a guest into an account, and say what was done. For the writer's thread (`service.maintenance`)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from alsobought.counts.shadow_table import discard
from alsobought.errors import BadRequest, Unusable
from alsobought.storage.count_tables import count_tables
from alsobought.storage.identities import accounts_of
from alsobought.storage.retention import horizon, stored_at
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.rewrite_context import UserRewrite
from alsobought.writer.user_rewrite import RewrittenTable, rewrite_users
from alsobought.writer.writer import Writer


class Verified(msgspec.Struct, frozen=True):
    """What is there of a forgotten user: rows `left` by table, and events `since`. `sealed`: the receipt was not changed."""

    sealed: bool
    noted: bool
    left: dict[str, int]
    since: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that a user was forgotten. `user_key` is cityHash64 of the user_id: it does not tell the name.

    `not_seen` says what could not be looked at. `checksum` seals all the rest: SHA-256 of its JSON.
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


def verify(warehouse: Warehouse, receipt: Receipt) -> Verified:
    """Looks for the user in every table that names users. That the others hold nothing of them is proved by `check`."""
    given = {"key": int(receipt.user_key), "at": receipt.forgotten_at.removesuffix("Z")}
    database = warehouse.database

    def count(table: str, condition: str) -> int:
        sql = f"select count() from {database}.{table} where {condition}"
        return int(warehouse.trusted_rows(sql, given).data[0][0])

    theirs, later = "cityHash64(user_id) = {key:UInt64}", "timestamp > {at:DateTime64(3, 'UTC')}"
    since = count("events", f"{theirs} and {later}")
    left = {"events": count("events", f"{theirs} and not ({later})")}
    known = f"(user_id, item_id) not in (select user_id, item_id from {database}.events where {theirs} and {later})"
    for table in count_tables(warehouse):
        if table.has_user_id and "item_id" in table.keys:
            left[table.name] = count(table.name, f"{theirs} and {known}")
        elif table.has_user_id:
            left[table.name] = 0 if since else count(table.name, theirs)
    noted = count("forgotten_users", "user_key = {key:UInt64}") > 0
    return Verified(receipt.sealed() == receipt, noted, left, since)


def forget(writer: Writer, user_id: str) -> dict[str, Any]:
    """Takes a user out of every table, with all guests that were merged into it; the fields of a Receipt.

    Doing it again is no fault: nothing is found then. Raises Unusable for a guest that is part of an account.
    """
    now = writer.clock()
    if account := accounts_of(writer.warehouse, [user_id]).get(user_id):
        raise Unusable(f"{user_id!r} was merged into {account!r}", "Forget that one: it is the same person")
    wanted = UserRewrite([user_id], "", now, horizon(writer.warehouse, writer.settings, now))
    key = key_of(writer.warehouse, user_id)
    parts = _rewrite(writer, wanted)
    receipt = Receipt(
        user_key=key,
        forgotten_at=f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        seconds=round((writer.clock() - now).total_seconds(), 3),
        tables=parts,
        not_seen=_not_seen(wanted.horizon),
    )
    fields: dict[str, Any] = msgspec.to_builtins(receipt.sealed())
    return fields


def merge(writer: Writer, guest_id: str, user_id: str) -> dict[str, Any]:
    """Makes everything of a guest the account's, also what comes later. Doing it again changes nothing.

    Raises BadRequest if both are the same, or were merged the other way round.
    """
    warehouse, now = writer.warehouse, writer.clock()
    accounts = accounts_of(warehouse, [guest_id, user_id])
    account = accounts.get(user_id, user_id)
    if guest_id == account:
        known = "is" if guest_id == user_id else "was merged into"
        raise BadRequest(f"{user_id!r} {known} {guest_id!r}", "Name a guest and another user")
    if accounts.get(guest_id, account) != account:
        raise BadRequest(f"{guest_id!r} was merged into {accounts[guest_id]!r}", "Merge that one")
    parts = _rewrite(writer, UserRewrite([guest_id], account, now, horizon(warehouse, writer.settings, now)))
    events = next(part for part in parts if part.table == "events")
    return {"user_id": account, "events": events.rows_before}


def _rewrite(writer: Writer, request: UserRewrite) -> list[RewrittenTable]:
    parts = rewrite_users(writer.warehouse, writer.take_seq(), request, writer.confirm)
    discard(writer.warehouse)
    writer.identities.refresh()
    writer.on_rewritten()
    return parts


def _not_seen(horizon: int) -> str:
    if not horizon:
        return ""
    since = f"{stored_at(horizon):%Y-%m-%d %H:%M} UTC"
    return f"events stored before {since} have expired; what they added to shared counts stays, without a name"


def key_of(warehouse: Warehouse, user_id: str) -> str:
    """The key that receipts and `forgotten_users` have for a user."""
    return str(warehouse.trusted_rows("select toString(cityHash64({user:String}))", {"user": user_id}).data[0][0])
