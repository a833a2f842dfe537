"""Rows of `users`: what is stored of a user, with what a shop sends about one applied.

The writer is the only one that reads and writes these rows, so that no change is lost between the two. What is sent about a
guest who was merged is about the account. At a merge the account takes over the attributes of the guest that it lacks; the
guest's row stays, removed, so that an unmerge can undo that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from alsobought.events import in_utc
from alsobought.storage.identities import Identities, accounts_of
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse
from alsobought.users import MAX_ATTRIBUTES, User, value_of, words_of

Attributes = dict[str, list[str]]


class UserRow(msgspec.Struct):
    """A row of `users`, which the migration describes."""

    user_id: str
    attributes: Attributes = {}
    lists: list[str] = []
    given: list[str] = []
    removed: bool = False
    version: int = 0
    updated_at: datetime | None = None


def stored_users(warehouse: Warehouse, user_ids: Iterable[str]) -> dict[str, UserRow]:
    """What is stored of these users, removed ones too, by user_id. Raises WarehouseFault."""
    columns = ", ".join(UserRow.__struct_fields__)
    sql = f"select {columns} from {warehouse.database}.users final where user_id in ({select_list('ids')})"
    rows = warehouse.trusted_rows(sql, {"ids": list_parameter(user_ids)}).dicts()
    return {row["user_id"]: msgspec.convert(row, UserRow, strict=False) for row in rows}


def stored_user(warehouse: Warehouse, user_id: str) -> dict[str, Any] | None:
    """A user with its attributes, or the account of a merged guest; None if nothing is stored. Raises WarehouseFault."""
    account = accounts_of(warehouse, [user_id]).get(user_id, user_id)
    row = stored_users(warehouse, [account]).get(account)
    if row is None or row.removed:
        return None
    return shown_user(row)


def shown_user(row: UserRow) -> dict[str, Any]:
    """A row with the attributes as they were sent."""
    attributes = {name: value_of(words, is_list=name in row.lists) for name, words in row.attributes.items()}
    updated_at = row.updated_at and in_utc(row.updated_at)
    return {"user_id": row.user_id, "attributes": attributes, "updated_at": updated_at}


def changed_users(
    users: Sequence[User], stored: Mapping[str, UserRow], accounts: Mapping[str, str], version: int, now: datetime
) -> list[UserRow]:
    """The new row of each user that is changed, with versions from this one on. Later ones of one user change the earlier.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> sent = [User(user_id="ada", attributes={"plan": "pro", "age": 34}), User(user_id="ada", attributes={"plan": None})]
    >>> [row.attributes for row in changed_users(sent, {}, {}, 7, now)]
    [{'age': ['34']}]
    """
    newest = dict(stored)
    for user in users:
        user_id = accounts.get(user.user_id, user.user_id)
        newest[user_id] = changed_user(newest.get(user_id) or UserRow(user_id, removed=True), user)
    changed = [row for user_id, row in newest.items() if _content(row) != _content(stored.get(user_id))]
    return [msgspec.structs.replace(row, version=version + n, updated_at=now) for n, row in enumerate(changed)]


def _content(row: UserRow | None) -> tuple[Attributes, list[str]]:
    return (row.attributes, row.lists) if row and not row.removed else ({}, [])


def changed_user(stored: UserRow, user: User) -> UserRow:
    """The row of one user. Of more than MAX_ATTRIBUTES those remain that changed last."""
    if user.removed:
        return msgspec.structs.replace(stored, attributes={}, lists=[], given=[], removed=True)
    base = UserRow(stored.user_id) if user.replace or user.attributes is None or stored.removed else stored
    sent = user.attributes or {}
    words = {name: words_of(value) for name, value in sent.items()}
    changed = {name: given for name, given in words.items() if given != base.attributes.get(name)}
    others = {name: own for name, own in base.attributes.items() if name not in changed}
    merged = [(name, own) for name, own in {**others, **changed}.items() if own][-MAX_ATTRIBUTES:]
    lists = {name for name in base.lists if name not in sent}
    lists |= {name for name, value in sent.items() if isinstance(value, list)}
    attributes = dict(merged)
    return msgspec.structs.replace(
        base, attributes=attributes, lists=sorted(lists & attributes.keys()), removed=not attributes
    )


def known_users(
    users: Sequence[User], identities: Identities, sent_at: Sequence[datetime], now: datetime
) -> list[User]:
    """The users without those who were forgotten after this was known, or after Kafka had it."""
    known = []
    for user, sent in zip(users, sent_at, strict=True):
        since = min(now if user.timestamp is UNSET else in_utc(user.timestamp), sent)
        forgotten_at = identities.forgotten.get(user.user_id)
        if forgotten_at is None or since > forgotten_at:
            known.append(user)
    return known


def merged_users(guest: UserRow, account: UserRow, version: int, now: datetime) -> list[UserRow]:
    """The rows after a merge. Empty if the guest has none, or was merged before a crash.

    >>> from datetime import UTC
    >>> guest = UserRow("s1", {"plan": ["free"], "region": ["Bavaria"]})
    >>> rows = merged_users(guest, UserRow("ada", {"plan": ["pro"]}), 7, datetime(2026, 1, 1, tzinfo=UTC))
    >>> rows[0].attributes, (rows[1].user_id, rows[1].given, rows[1].removed)
    ({'region': ['Bavaria'], 'plan': ['pro']}, ('s1', ['region'], True))
    """
    if guest.removed:
        return []
    room = MAX_ATTRIBUTES - len(account.attributes)
    given = [name for name in guest.attributes if name not in account.attributes][:room]
    attributes = {**{name: guest.attributes[name] for name in given}, **account.attributes}
    lists = sorted({*account.lists, *(name for name in given if name in guest.lists)})
    return _versioned(
        [
            msgspec.structs.replace(account, attributes=attributes, lists=lists, removed=False),
            msgspec.structs.replace(guest, given=given, removed=True),
        ],
        version,
        now,
    )


def unmerged_users(guest: UserRow, holders: Sequence[UserRow], version: int, now: datetime) -> list[UserRow]:
    """The rows after a merge was undone: what was taken over is taken back, unless it has changed since.

    `holders` are the account, and accounts that were merged into it later and had the guest before.
    """
    if not guest.removed or not guest.attributes:
        return []
    given_back = msgspec.structs.replace(guest, given=[], removed=False)
    return _versioned([*(_without(holder, guest) for holder in holders), given_back], version, now)


def _without(holder: UserRow, guest: UserRow) -> UserRow:
    """The row of an account without what it has of a guest."""
    taken = {name for name in guest.given if holder.attributes.get(name) == guest.attributes[name]}
    attributes = {name: words for name, words in holder.attributes.items() if name not in taken}
    lists, given = ([name for name in names if name in attributes] for names in (holder.lists, holder.given))
    removed = holder.removed or not attributes
    return msgspec.structs.replace(holder, attributes=attributes, lists=lists, given=given, removed=removed)


def _versioned(rows: Sequence[UserRow], version: int, now: datetime) -> list[UserRow]:
    return [msgspec.structs.replace(row, version=version, updated_at=now) for row in rows]
