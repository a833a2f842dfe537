"""Record what a command changes in the audit log, before it changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alsobought.storage.warehouse import Warehouse


@contextmanager
def audited(warehouse: Warehouse, action: str, subject: str = "", **detail: Any) -> Iterator[dict[str, Any]]:
    """The body of `with` is the action; what it puts into the dictionary is added to the detail.

    Raises NotStored if the entry cannot be stored: then the body does not run.
    """
    from alsobought.access.audit import operator
    from alsobought.access.audit_log import AuditLog

    with AuditLog(warehouse).recorded(operator(), action, subject, detail) as result:
        yield result
