"""Corrections of stored events: refunds take back purchases, and events get categories that came after them.

For the writer's thread, between two batches. The lease is dirty meanwhile: what fails half-way is finished with the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Set
from datetime import datetime

from alsobought.errors import AlsoboughtError
from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.retention import horizon
from alsobought.storage.serving_tables import ServingTable
from alsobought.writer.catalogue_rows import ItemRow
from alsobought.writer.event_categories import EventCategories, add_categories
from alsobought.writer.lease import Lease
from alsobought.writer.pending_refunds import PendingRefunds
from alsobought.writer.refunds import Line, RefundedLine
from alsobought.writer.rewrite_context import UserRewrite
from alsobought.writer.rows import EventRow
from alsobought.writer.user_rewrite import rewrite_users

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


class Corrections:
    """`on_refunded` is called with purchases that were taken back, `on_changed` when many events were changed."""

    def __init__(
        self,
        warehouse: ClickHouseWarehouse,
        settings: Settings,
        clock: Callable[[], datetime],
        lease: Lease,
        serving: list[ServingTable],
        exclusively: Callable[[Callable[[], object]], object],
    ) -> None:
        """`exclusively` runs an action under a lease of its own, when all views have every batch."""
        self._warehouse, self._settings, self._clock = warehouse, settings, clock
        self._lease, self._serving, self._exclusively = lease, serving, exclusively
        self._categories = EventCategories(warehouse)
        self.refunds = PendingRefunds(warehouse)
        self.on_refunded: Callable[[list[Line]], None] = lambda _: None
        self.on_changed: Callable[[], None] = lambda: None

    @property
    def due(self) -> bool:
        return self.refunds.due

    def note_events(self, rows: Iterable[EventRow], *, awaited: bool) -> None:
        """Notes stored events, and applies refunds if they are due or somebody waits for them."""
        try:
            self.refunds.note(rows)
            if self.due or (awaited and self.refunds.may_be_applied):
                self._exclusively(self.apply_refunds)
        except AlsoboughtError as error:  # the events are stored, and the refunds stay noted
            log.warning("refunds were not applied: %s", error)
            self.refunds.postpone(RETRY_SECONDS)

    def note_items(self, rows: Iterable[ItemRow], categorized: Set[str]) -> None:
        """Notes new rows of items; those in `categorized` had a category before."""
        self._categories.note(rows, categorized)

    def apply_due(self) -> None:
        """Applies refunds if they are due."""
        self.note_events((), awaited=False)

    def add_few_categories(self) -> None:
        """Once the catalogue has the items that were noted: gives their events categories, if these are few."""
        try:
            if self._categories.pending and self._categories.are_few():
                self._exclusively(self.add_categories)
        except AlsoboughtError as error:  # the items are stored
            log.warning("events did not get their categories: %s", error)

    def apply_refunds(self) -> int:
        """Takes back what refunds say for some users, and returns the number of lines that changed.

        Under the lease. Raises LeaseLost, NotStored, WarehouseFault.
        """
        changed = self.refunds.apply(self._rewrite)
        if changed:
            self.on_refunded(changed)
        return len(changed)

    def add_categories(self) -> int:
        """Gives events that were stored before their items the categories of these, and returns their number.

        Under the lease. Raises LeaseLost, WarehouseFault.
        """
        self._lease.dirty = True
        events = add_categories(self._warehouse, self._lease.seq.take(), self._lease.confirm)
        self._lease.dirty = False
        if events:
            self.on_changed()
        return events

    def _rewrite(self, users: list[str], lines: list[RefundedLine]) -> None:
        now = self._clock()
        request = UserRewrite(users, "", now, horizon(self._warehouse, self._settings, now), lines)
        self._lease.dirty = True
        rewrite_users(self._warehouse, self._lease.seq.take(), request, self._lease.confirm, self._serving)
        self._lease.dirty = False
