"""Who is who: guests whose events are an account's, and users who were forgotten.

Asked of the tables for the users of a batch, since there may be millions; not asked at all while there is nobody.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alsobought.storage.ledger import LISTED
from alsobought.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Known:
    """Of the users of a batch: `accounts` has the account of each guest that was merged, `forgotten` when each was."""

    accounts: dict[str, str] = field(default_factory=dict)
    forgotten: dict[str, datetime] = field(default_factory=dict)


class People:
    """For the writer's thread: `read` when it begins and after a merge or a forgetting, by whomever."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._merged = self._forgotten = False

    def read(self) -> None:
        database = self._warehouse.database
        sql = f"select (select count() from {database}.user_merges), (select count() from {database}.forgotten_users)"
        self._merged, self._forgotten = map(bool, self._warehouse.trusted_rows(sql).data[0])

    @property
    def any(self) -> bool:
        return self._merged or self._forgotten

    def among(self, users: Collection[str]) -> Known:
        """What is known of these users."""
        listed = {"users": "\0".join(users)}
        return Known(
            accounts_of(self._warehouse, users) if self._merged else {},
            {row[0]: _utc(row[1]) for row in self._ask_forgotten(listed)} if self._forgotten else {},
        )

    def _ask_forgotten(self, listed: dict[str, str]) -> list[list[str]]:
        sql = f"""
            with users as (select distinct cityHash64(listed) as user_key, listed from ({LISTED % "users"}))
            select any(listed), toString(max(forgotten_at))
            from {self._warehouse.database}.forgotten_users as gone
            inner join users on users.user_key = gone.user_key
            where gone.user_key in (select user_key from users)
            group by gone.user_key
        """
        return self._warehouse.trusted_rows(sql, listed).data


def accounts_of(warehouse: Warehouse, users: Collection[str]) -> dict[str, str]:
    """The account of each of these that was merged into one."""
    sql = (
        f"select guest_id, argMax(user_id, merged_at) from {warehouse.database}.user_merges"
        f" where guest_id in ({LISTED % 'users'}) group by guest_id"
    )
    return dict(warehouse.trusted_rows(sql, {"users": "\0".join(users)}).data)


def guests_of(warehouse: Warehouse, user: str) -> list[str]:
    """Everyone who was merged into this account."""
    sql = f"select distinct guest_id from {warehouse.database}.user_merges final where user_id = {{user:String}} order by all"
    return [row[0] for row in warehouse.trusted_rows(sql, {"user": user}).data]


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
