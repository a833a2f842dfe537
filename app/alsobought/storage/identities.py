"""Identities of users: guests merged into an account, and forgotten users.

Looked up in the tables for the users of a batch, since there may be millions; not at all while both tables are empty.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Identities:
    """Of the users of a batch: the account of each merged guest, and the time at which each forgotten user was forgotten."""

    accounts: dict[str, str] = field(default_factory=dict)
    forgotten: dict[str, datetime] = field(default_factory=dict)


class IdentityLookup:
    """For the writer's thread: `refresh` when it takes its lease and after a merge or an erasure by any process."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._any_merged = self._any_forgotten = False

    def refresh(self) -> None:
        """Reads whether there are merged or forgotten users at all."""
        database = self._warehouse.database
        sql = f"select (select count() from {database}.user_merges), (select count() from {database}.forgotten_users)"
        self._any_merged, self._any_forgotten = map(bool, self._warehouse.trusted_rows(sql).data[0])

    @property
    def empty(self) -> bool:
        """True if no user was ever merged or forgotten."""
        return not (self._any_merged or self._any_forgotten)

    def of(self, users: Collection[str]) -> Identities:
        """The identities of these users."""
        return Identities(
            accounts_of(self._warehouse, users) if self._any_merged else {},
            self._forgotten_at(users) if self._any_forgotten else {},
        )

    def _forgotten_at(self, users: Collection[str]) -> dict[str, datetime]:
        sql = f"""
            with users as (select distinct cityHash64(listed) as user_key, listed from ({select_list("users")}))
            select any(listed), toString(max(forgotten_at))
            from {self._warehouse.database}.forgotten_users as gone
            inner join users on users.user_key = gone.user_key
            where gone.user_key in (select user_key from users)
            group by gone.user_key
        """
        rows = self._warehouse.trusted_rows(sql, {"users": list_parameter(users)}).data
        return {user: datetime.fromisoformat(at).replace(tzinfo=UTC) for user, at in rows}


def accounts_of(warehouse: Warehouse, users: Collection[str]) -> dict[str, str]:
    """The account of each of these users that was merged into one."""
    sql = (
        f"select guest_id, argMax(user_id, merged_at) from {warehouse.database}.user_merges"
        f" where guest_id in ({select_list('users')}) group by guest_id"
    )
    return dict(warehouse.trusted_rows(sql, {"users": list_parameter(users)}).data)


def unmerged(warehouse: Warehouse, pairs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those (guest_id, user_id) whose guest is not the user's yet, each once."""
    accounts = accounts_of(warehouse, [name for pair in pairs for name in pair]) if pairs else {}
    return [(guest, user) for guest, user in dict.fromkeys(pairs) if accounts.get(guest) != accounts.get(user, user)]


@dataclass(frozen=True)
class Merge:
    """A merged guest: the account that the merge named, and when that was; 1970 if the guest's events do not bear its id."""

    guest_id: str
    merged_into: str
    since: datetime


def merges_into(warehouse: Warehouse, user: str) -> list[Merge]:
    """All guests of this account, also those that came with a guest or with an account that was merged into it."""
    sql = (
        f"select guest_id, merged_into, toString(since) from {warehouse.database}.user_merges final"
        " where user_id = {user:String} order by all"
    )
    rows = warehouse.trusted_rows(sql, {"user": user}).data
    return [Merge(guest, into, datetime.fromisoformat(since).replace(tzinfo=UTC)) for guest, into, since in rows]


def user_key(warehouse: Warehouse, user_id: str) -> str:
    """The key of a user in receipts, in `forgotten_users` and in the audit log, which name nobody."""
    return str(warehouse.trusted_rows("select toString(cityHash64({user:String}))", {"user": user_id}).data[0][0])
