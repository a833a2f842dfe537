"""The warehouse that a reading command uses: its own, or that of the process that holds the data folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.storage.warehouse import Warehouse


@contextmanager
def existing_warehouse(settings: Settings) -> Iterator[Warehouse]:
    """Closes it afterwards. Raises Unusable where there is none."""
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        yield warehouse
    finally:
        warehouse.close()
