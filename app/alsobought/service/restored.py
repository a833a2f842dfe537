"""Open a restored folder for the first time: migrate it, store the posts in its log, erase who was forgotten since, prove it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from alsobought.access.audit import operator
from alsobought.access.audit_log import AuditLog
from alsobought.backup.erasures import Erasure, as_arguments, recorded_erasures
from alsobought.counts.consistency import Checked, Progress, check
from alsobought.service.maintenance import Bar, finish_serving_tables
from alsobought.service.service import open_service
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse


class Restored(msgspec.Struct, frozen=True):
    """`erased` users were forgotten after the backup; `guests` of them are part of an account that was not.

    `checked` is None without a check.
    """

    events: int
    erased: int
    guests: list[str]
    checked: Checked | None


def finish_restore(
    settings: Settings,
    folder: Path,
    erasures: Sequence[Erasure],
    bar: Bar,
    progress: Progress | None,
    *,
    backup: str,
) -> Restored:
    """With `progress`, every count is compared with a recompute. The folder is released afterwards.

    Recorded in the audit log of the restored warehouse, as the restore of `backup`.
    """
    settings = msgspec.structs.replace(settings, data=str(folder), dsn="", kafka="", backup_hours=0)
    service = open_service(settings, create=False)
    try:
        known = set(recorded_erasures(service.warehouse))
        later = [erasure for erasure in erasures if erasure not in known]
        recorded = AuditLog(service.warehouse).recorded(operator(), "backup.restore", backup, {"into": str(folder)})
        with recorded as result:
            guests = service.do("forget again", as_arguments(later))
            finish_serving_tables(service.do, bar)
            result["erased_again"] = len(later)
        checked = None
        if progress:
            other = service.warehouse.another()
            try:
                checked = checked_counts(other, service.do, settings.home_folder, progress)
            finally:
                other.close()
        events = int(service.warehouse.trusted_rows(f"select count() from {settings.database}.events").data[0][0])
        return Restored(events, len(later), guests, checked)
    finally:
        service.close()


def checked_counts(warehouse: Warehouse, do: Callable[..., Any], home: Path, progress: Progress) -> Checked:
    """Compares every count table with a recompute."""
    return check(warehouse, do, home / "sql" / "checks", progress=progress)


def is_right(checked: Checked | None) -> bool:
    """True if nothing was found, or nothing was compared."""
    return checked is None or not (checked.wrong or checked.events_without_category or checked.purchases_not_refunded)
