"""Record in the audit log which migrations a run applies.

Before it where the table of the log exists, after it where one of them creates that table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from alsobought.access.audit import Actor
from alsobought.access.audit_log import AuditLog
from alsobought.migrations.journal import objects
from alsobought.storage.warehouse import AUDIT_TABLE, Warehouse

ACTION = "migrations.apply"
MAX_NAMES = 20


@contextmanager
def recorded(warehouse: Warehouse, by: Actor, pending: Sequence[str]) -> Iterator[list[str]]:
    """The body of `with` applies the migrations, and puts the names of those that are into the list."""
    applied: list[str] = []
    if AUDIT_TABLE in objects(warehouse):
        with AuditLog(warehouse).recorded(by, ACTION, _range(pending), _detail(pending)) as result:
            try:
                yield applied
            finally:
                result["applied"] = len(applied)
        return
    try:
        yield applied
    finally:
        if applied and AUDIT_TABLE in objects(warehouse):
            AuditLog(warehouse).record_done(by, ACTION, _range(applied), _detail(applied))


def _range(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"


def _detail(names: Sequence[str]) -> dict[str, Any]:
    return {"migrations": list(names)} if len(names) <= MAX_NAMES else {"number": len(names)}
