"""Track how far the answers of this process have come: the newest batch that every view contains.

A process that writes knows this from its writer. A process beside the writer follows
`ingest_batches`, and a batch in that table may still be on its way through the other views: an
answer computed in between is stale. So the follower invalidates the cached answers of a batch at
least three times: when it first sees the batch, until no insert of events is running and the rows of
serving tables are made that the batch touches, and together with the next
batch, because by then recovery has completed a batch that a crash interrupted. After a crash with
no later batch, a stale answer lives as long as its pipe's @cache allows.

Several processes of one service follow, each on its own. `refresh` in one of them waits for all (`serving.siblings`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from alsobought.errors import AlsoboughtError, Busy
from alsobought.serving.cached_answers import Answers
from alsobought.serving.invalidation import Invalidator
from alsobought.serving.siblings import Siblings
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.replica_fencing import synchronize, synchronize_all
from alsobought.writer.sharded import AnyWriter
from alsobought.writer.submission import MaintenanceTask

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.05
CHANGES_EVERY = 3  # refreshes: so often a follower reads `NewBatches.changes`, a third of the time of its query
WAIT_SECONDS = 5.0  # for the batch that the writer stores
MAX_SEQ = 2**63
MAX_NEW_EVENTS = 20_000  # with more new events at once, the whole cache is cleared


class Visibility(Protocol):
    @property
    def as_of(self) -> datetime | None:
        """The ingest time of the newest event that answers may contain."""

    @property
    def alive(self) -> bool: ...

    def start(self) -> None: ...

    def refresh(self) -> None:
        """Afterwards every cached answer contains what all views contained before the call."""

    def stop(self) -> None: ...


class WriterVisibility:
    """For the process that writes: its writer invalidates cached answers itself."""

    def __init__(self, writer: AnyWriter, cache: Answers) -> None:
        self._writer, self._cache = writer, cache

    @property
    def as_of(self) -> datetime | None:
        return self._writer.as_of

    @property
    def alive(self) -> bool:
        return self._writer.alive

    def start(self) -> None: ...

    def refresh(self) -> None:
        """Drops stale answers between two batches, when the writer has announced the one before. Raises Busy, NotStored."""
        try:
            self._writer.run(MaintenanceTask(self._cache.drop_stale)).result(WAIT_SECONDS)
        except TimeoutError:
            raise Busy("the writer is behind", "Wait for `as_of` of /readyz") from None

    def stop(self) -> None: ...


class EventRow(msgspec.Struct):
    """A `StoredEvent` as read from `events`."""

    user_id: str
    item_id: str
    order_id: str
    event_type: str


class NewBatches(msgspec.Struct):
    """The batches stored since the last refresh, and the state of the server.

    `inserts` counts the running inserts of events; the rows of serving tables are made up to the
    seq `served`. `changes` has the newest completed change of
    stored rows (`storage.mutation_journal`), and what identifies the last load of the catalogue; None if they were not read.
    """

    newest: int
    rows: int
    first_at: datetime
    last_at: datetime
    inserts: int
    served: int
    changes: tuple[int, tuple[str, float, int]] | None


class Follower:
    """For a process beside the writing one: `refresh` once, or `start` a thread."""

    def __init__(self, warehouses: Sequence[Warehouse], cache: Answers, siblings: Siblings | None = None) -> None:
        """`warehouses` are those that store events: one, or the shards of a cluster."""
        self._streams = [_Stream(warehouse, cache) for warehouse in warehouses]
        self._siblings = siblings or Siblings()
        self._refreshes = 0
        self._refreshing, self._stopped = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def as_of(self) -> datetime | None:
        return max((stream.as_of for stream in self._streams if stream.as_of), default=None)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._siblings.start()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._siblings.stop()

    def refresh(self) -> None:
        """Refreshes this process and all its siblings. Raises WarehouseFault, TooSlow, Busy; NotStored where a replica lags."""
        since = time.monotonic()
        for stream in self._streams:
            stream.synchronize()
        self._siblings.request(since)
        self._refresh(again=True)
        self._siblings.await_refreshes(since)

    def _run(self) -> None:
        failing = False
        while not self._stopped.wait(REFRESH_SECONDS):
            try:
                self._refresh(again=self._siblings.is_requested)
            except Exception as error:
                if not failing:
                    trace = not isinstance(error, AlsoboughtError)
                    log.warning("could not read new batches: %s", error, exc_info=trace)
                failing = True
            else:
                if failing:
                    log.warning("resumed reading new batches")
                failing = False

    def _refresh(self, *, again: bool) -> None:
        """With `again`, the latest batch invalidates its cached answers once more."""
        with self._refreshing:
            began_at = time.monotonic()
            changes = again or self._refreshes % CHANGES_EVERY == 0
            self._refreshes += 1
            errors = []
            for stream in self._streams:  # one shard that is down does not hide what the others store
                try:
                    stream.refresh(again=again, changes=changes)
                except AlsoboughtError as error:
                    errors.append(error)
            if errors:
                raise errors[0]
            if again:
                self._siblings.record_refresh(began_at)


class _Stream:
    """The batches of one warehouse. `as_of` is the ingest time of the newest one."""

    def __init__(self, warehouse: Warehouse, cache: Answers) -> None:
        self._warehouse, self._cache = warehouse, cache
        self._invalidate = Invalidator(warehouse, cache)
        self._newest = 0
        self._latest: Sequence[EventRow] | None = ()
        self._changes: tuple[int, tuple[str, float, int]] | None = None
        self._settled = True
        self.as_of: datetime | None = None

    def synchronize(self) -> None:
        """Afterwards each replica that may be read has what the writer stored. Raises NotStored."""
        synchronize_all(self._warehouse)

    def refresh(self, *, again: bool, changes: bool) -> None:
        new = self._new_batches(changes=changes)
        if new.newest > self._newest:
            self._apply(new)
        elif again or not (self._settled or new.inserts):
            complete = self._settled or (not new.inserts and new.served >= self._newest)
            if complete and not self._settled:
                synchronize(self._warehouse)  # the writer has stored all of it, perhaps on another replica
            self._invalidate_rows(self._latest)
            self._settled = complete
        if new.changes and new.changes != self._changes:
            self._cache.clear()
            self._changes = new.changes

    def _apply(self, new: NewBatches) -> None:
        rows = self._rows(new) if new.rows <= MAX_NEW_EVENTS else None
        self._invalidate_rows(None if rows is None or self._latest is None else [*self._latest, *rows])
        self._latest, self._newest, self._settled, self.as_of = rows, new.newest, False, new.last_at

    def _invalidate_rows(self, rows: Sequence[EventRow] | None) -> None:
        if rows is None:
            self._cache.clear()
        elif rows:
            self._invalidate(rows)

    def _new_batches(self, *, changes: bool = True) -> NewBatches:
        """With `changes`, those too. A load of the catalogue is known to the second; the end of that second is a change, too.

        What is on its way matters until the latest batch is settled, and takes another third of the time of the query.
        """
        database = self._warehouse.database
        on_its_way = f"""
            (
                select count() from system.processes
                where query_kind = 'Insert' and match(left(query, 300), {{insert:String}})
            ) as inserts,
            (select if(count() = 0, {MAX_SEQ}, min(seq)) from {database}.serving_positions final) as served
        """
        all_changes = f"""
            (
                (select max(id * done) from {database}.rewrites),
                (
                    select any((toString(last_successful_update_time), loading_duration, last_successful_update_time < now()))
                    from system.dictionaries
                    where database = {{database:String}} and name = 'catalogue'
                )
            )
        """
        sql = f"""
            select
                max(batch) as newest,
                sum(events) as rows,
                min(ingested_at) as first_at,
                max(ingested_at) as last_at,
                {f"0 as inserts, {MAX_SEQ} as served" if self._settled else on_its_way},
                {all_changes if changes else "null"} as changes
            from {database}.ingest_batches
            where batch > {{seen:UInt64}}
        """
        insert = rf"(?i)^insert\s+into\s+`?{database}`?\.`?events`?\b"
        parameters = {"seen": self._newest, "database": database, "insert": insert}
        return msgspec.convert(self._warehouse.rows(sql, parameters).dicts()[0], NewBatches)

    def _rows(self, new: NewBatches) -> list[EventRow]:
        sql = f"""
            select user_id, item_id, order_id, event_type
            from {self._warehouse.database}.events
            where batch > {{seen:UInt64}} and batch <= {{newest:UInt64}}
            and ingested_at between {{first:DateTime64(3, 'UTC')}} and {{last:DateTime64(3, 'UTC')}}
        """
        parameters: dict[str, Any] = {
            "seen": self._newest,
            "newest": new.newest,
            "first": new.first_at,
            "last": new.last_at,
        }
        return msgspec.convert(self._warehouse.rows(sql, parameters).dicts(), list[EventRow])


def is_ingested(warehouse: Warehouse, source: str, partition: int, offset: int) -> bool:
    """True if a Kafka offset is in a stored range, and so its batch is in all views.

    Uses a reader's connection, so it suits polling; `ledger.next_offset` waits for the writer's
    connection.
    """
    sql = f"""
        select max(next_offset) > {{offset:UInt64}}
        from (
            select next_offset
            from {warehouse.database}.ingest_ranges
            where source = {{source:String}} and partition = {{partition:UInt32}} and first_offset <= {{offset:UInt64}}
            order by first_offset desc
            limit 10
        )
    """
    return bool(warehouse.value(sql, {"source": source, "partition": partition, "offset": offset}))
