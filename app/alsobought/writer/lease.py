"""The writer's lease: a new epoch, all views brought up to the last batch, and rewrites that a crash interrupted finished.

An embedded warehouse has one writer, whose lease ends with a failed insert. On a server another writer may take it
(`writer.fencing`). After a move to another replica it is dirty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.identities import IdentityLookup
from alsobought.storage.retention import apply_retention
from alsobought.storage.scratch_database import drop_scratch
from alsobought.storage.serving_tables import ServingTable
from alsobought.writer import fencing
from alsobought.writer.recovery import BeforeInsert, before_insert, consume_clean_shutdown, recover
from alsobought.writer.sequence import SeqClock
from alsobought.writer.user_rewrite import finish_rewrites

LEFT_BEHIND = ("rebuild", "rebuild_part", "rebuild_rest", "before", "after")  # on a replica, when the writer moved on


class Lease:
    """For the writer's thread. While it is `dirty`, views may lack the last batch, or another process may have stored some.

    `as_of` is the ingest time of the newest stored batch.
    """

    def __init__(
        self,
        warehouse: ClickHouseWarehouse,
        settings: Settings,
        clock: Callable[[], datetime],
        identities: IdentityLookup,
        on_rewritten: Callable[[], None],
        serving: Sequence[ServingTable],
        seq: SeqClock | None = None,
    ) -> None:
        self._warehouse, self._settings, self._clock = warehouse, settings, clock
        self._identities, self._on_rewritten, self._serving = identities, on_rewritten, serving
        self.seq = seq or SeqClock(clock)
        self.epoch = 0
        self.as_of: datetime | None = None
        self._dirty = True
        self._generation = warehouse.generation
        self._stored_nothing = False
        self._before: BeforeInsert | None = None

    @property
    def dirty(self) -> bool:
        return self._dirty or self.moved

    @dirty.setter
    def dirty(self, dirty: bool) -> None:
        self._dirty = dirty

    @property
    def moved(self) -> bool:
        """True if the warehouse writes to another replica than when the lease was taken."""
        return self._warehouse.generation != self._generation

    def bind(self) -> None:
        """From now on this thread writes to no other replica than that of the lease."""
        self._warehouse.bind(self._generation)

    def take(self) -> None:
        """Takes the lease, or takes it again. Raises LeaseLost, NotStored, WarehouseFault: then it stays dirty."""
        if self.moved:
            self._dirty, self._generation = True, self._warehouse.generation
            self.bind()
            drop_scratch(self._warehouse, *LEFT_BEHIND)
        self.bind()
        if self._warehouse.shared:
            self.epoch = fencing.claim(self._warehouse, self.seq.peek())
            self.seq.see(self.epoch)
            self._stored_nothing = True
        if not consume_clean_shutdown(self._warehouse):
            self.recover()
        if finish_rewrites(self._warehouse, self._serving):
            self._on_rewritten()
        self.read_newest()
        apply_retention(self._warehouse, self._settings, self._clock(), self.seq.take())
        self.dirty = False

    def recover(self) -> None:
        """Brings all views up to the last batch, if the lease is still ours."""
        recover(self._warehouse, self.epoch if self._warehouse.shared else None, self._before)

    def note_before_insert(self, batch: int) -> None:
        """Notes what a recovery needs to know of the tables, should this batch, inserted next, be torn."""
        self._before = before_insert(self._warehouse, batch) if self._warehouse.shared else None

    def note_inserted(self) -> None:
        """Notes that all views have the batch."""
        self.dirty, self._before = False, None

    def read_newest(self) -> None:
        """Reads the newest seq and ingest time of any writer. An embedded writer takes its epoch from them."""
        database = self._warehouse.database
        sql = f"""
            select
                max(seq),
                toString(max(ingested_at)),
                (select max(version) from {database}.items),
                (select max(id) from {database}.rewrites)
            from {database}.events
        """
        newest_seq, ingested_at, *other_numbers = self._warehouse.trusted_rows(sql).data[0]
        if newest_seq:
            self.as_of = datetime.fromisoformat(ingested_at).replace(tzinfo=UTC)
        self.seq.see(int(newest_seq), *map(int, other_numbers))
        self._identities.refresh()
        if not self._warehouse.shared:
            self.epoch = self.seq.peek()

    def confirm(self) -> None:
        """Raises LeaseLost if another writer took over."""
        if self._warehouse.shared:
            fencing.confirm(self._warehouse, self.epoch)

    def record_stored(self) -> None:
        """Records the first batch of this lease: from then on, others may take the next."""
        if self._stored_nothing:
            fencing.record_stored(self._warehouse, self.epoch)
            self._stored_nothing = False
