"""Forgotten users beside the backups: older backups still hold them, and a restore erases them again.

A note has the key of `forgotten_users`, a hash of the user_id, and no name.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from alsobought.backup.manifest import Manifest
from alsobought.backup.store import ERASURES, Store
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse


class Erasure(msgspec.Struct, frozen=True, order=True):
    """`forgotten_at` in UTC, as in the table: 2026-03-01 04:05:06.789."""

    forgotten_at: str
    user_key: str

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.forgotten_at).replace(tzinfo=UTC)


class HeldBy(msgspec.Struct, frozen=True):
    """The backups that still hold a forgotten user, until they are replaced by newer ones."""

    to: str
    backups: list[str]
    until: str


def recorded_erasures(warehouse: Warehouse) -> list[Erasure]:
    """All users whom the warehouse knows as forgotten."""
    sql = f"select toString(forgotten_at), toString(user_key) from {warehouse.database}.forgotten_users final"
    return [Erasure(*row) for row in warehouse.trusted_rows(sql).data]


def note(store: Store, erasures: Iterable[Erasure]) -> None:
    """Writes the notes that the store lacks."""
    existing = store.sizes(ERASURES)
    for erasure in erasures:
        if (name := _name(erasure)) not in existing:
            store.write(name, msgspec.json.encode(erasure))


def notes(store: Store) -> list[Erasure]:
    """All notes, oldest first."""
    with ThreadPoolExecutor(store.threads) as pool:
        texts = pool.map(lambda name: b"".join(store.read(name)), store.sizes(ERASURES))
        return sorted(msgspec.json.decode(text, type=Erasure) for text in texts)


def delete_outlived(store: Store, oldest: datetime) -> None:
    """Deletes the notes of users whom no backup holds: the oldest one was taken after the erasure."""
    for erasure in notes(store):
        if erasure.time < oldest - timedelta(days=1):  # the clocks of two machines may differ
            store.delete(_name(erasure))


def held_by(store: Store, manifests: Iterable[Manifest], at: datetime, settings: Settings) -> HeldBy:
    """Which of these backups, oldest first, were taken before this time, and until when retention keeps them.

    The full backup of a server stays as long as another refers to it: at most as long again, or half as long by days.
    """
    holding = [manifest for manifest in manifests if manifest.created_at <= at]
    keep, hours, days = settings.backup_keep, settings.backup_hours, float(settings.backup_retention_days)
    if any(manifest.server for manifest in holding):
        keep, days = max(keep, 2 * keep - 1), 1.5 * days
    ends = [timedelta(hours=hours * keep)] if keep and hours else []
    ends += [timedelta(days=days)] if days else []
    until = "until you delete them"
    if holding and ends:
        gone_at = max(manifest.created_at for manifest in holding) + min(ends)
        until = f"until {gone_at:%Y-%m-%d %H:%M} UTC"
    elif holding and keep:
        until = f"until {keep} newer backups exist"
    return HeldBy(store.name, [manifest.id for manifest in holding], until if holding else "")


def as_arguments(erasures: Iterable[Erasure]) -> list[dict[str, Any]]:
    """In the form of a task's arguments."""
    return [msgspec.to_builtins(erasure) for erasure in erasures]


def _name(erasure: Erasure) -> str:
    digits = "".join(character for character in erasure.forgotten_at if character.isdigit())
    return f"{ERASURES}/{erasure.user_key}-{digits}.json"
