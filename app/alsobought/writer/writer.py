"""The writer: one thread that makes batches, gives every event its seq and stores each event once.

An insert with views is not atomic. So `events` is the write-ahead log of the views: a batch carries its number and the
writer's epoch, is stored as one block under one token, and is repeated with that token until it went through. After a
crash or a failure `recover` stores the last batch again, from `events` itself, so that the views that missed it get it.

On a server another process may write, too: the writer takes its turn (`writer.fencing`), and begins again when it lost it.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from alsobought.errors import AlsoboughtError, Busy, NotStored
from alsobought.events import Event, Item, in_utc
from alsobought.failpoints import reach
from alsobought.settings import Settings
from alsobought.storage.catalogue import Catalogue
from alsobought.storage.identities import Known, People
from alsobought.storage.ledger import known_ids, known_offsets
from alsobought.storage.retention import keep
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.fencing import LeaseLost, claim, confirm, note_stored
from alsobought.writer.recovery import batch_token, ended_well, note_good_end, recover
from alsobought.writer.submission import ItemRow, MaintenanceTask, Row, Stored, Submission, utc_now
from alsobought.writer.user_rewrite import finish_rewrites

log = logging.getLogger(__name__)

ATTEMPTS = 3
LEASE_TIMEOUT_SECONDS = 20.0  # so long a batch tries to get its turn


@dataclass(frozen=True)
class Batch:
    """One block: its token, and its rows, also as JSON lines."""

    token: str
    lines: bytes
    rows: list[Row]
    ingested_at: datetime


class Writer:
    """Start it once per warehouse; `submit` from any thread."""

    def __init__(self, warehouse: Warehouse, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self.warehouse, self.settings, self.clock = warehouse, settings, clock
        self.on_stored: Callable[[Iterable[Row]], None] = lambda _: None
        self.on_rewritten: Callable[[], None] = lambda: None
        self.catalogue, self.people = Catalogue(warehouse), People(warehouse)
        self.as_of: datetime | None = None
        self._queue: queue.Queue[Submission | MaintenanceTask | None] = queue.Queue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._seq = self.epoch = 0
        self._dirty, self._first_of_lease = True, False
        self._in_flight: list[Row] = []
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Heals what a crash tore, takes a new epoch, and begins to write.

        On a full disk there is nothing to recover with: answers are given all the same, and it is tried before the next batch.
        Where Kafka is read by another process, that one recovers; this one takes its turn only if it has something to store.
        """
        if self.warehouse.embedded or not self.settings.kafka:
            try:
                self.begin()
            except NotStored as error:
                log.warning("what a crash tore is not recovered yet: %s", error)
        if self._dirty:
            self._read_newest()
        self.catalogue.read()
        self._thread.start()

    def stop(self) -> None:
        """Stores what is waiting, then ends the thread."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            if not self._dirty:
                note_good_end(self.warehouse)

    def submit(self, submission: Submission) -> Future[Stored]:
        """Raises Busy when too much is waiting; the future raises NotStored when the warehouse refuses."""
        if not submission.rows:
            submission.done.set_result(Stored(0, 0, self.as_of or self.clock()))
            return submission.done
        with self._lock:
            if self._waiting and self._waiting + len(submission.rows) > self.settings.queue_rows:
                raise Busy("the writer is behind", "Send the same events again in a second")
            self._waiting += len(submission.rows)
        self._queue.put(submission)
        return submission.done

    def run(self, task: MaintenanceTask) -> Future[Any]:
        """The future has what the task returned or raises what it raised, NotStored if the writer has stopped."""
        if not self.alive:
            task.done.set_exception(NotStored("the writer has stopped"))
        else:
            self._queue.put(task)
        return task.done

    @property
    def started(self) -> bool:
        """Whether it ever was."""
        return self._thread.ident is not None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def dirty(self) -> bool:
        """Whether views may lack the last batch, or another process writes: the next batch begins with mending that."""
        return self._dirty

    @property
    def waiting(self) -> int:
        """Events and items in the queue."""
        return self._waiting

    # The thread

    def _run(self) -> None:
        held: Submission | MaintenanceTask | None = None
        while first := held or self._queue.get():
            held = None
            if isinstance(first, MaintenanceTask):
                self._do(first)
            else:
                held = self._take(first)

    def _refused_with_the_one_before(self, submission: Submission) -> bool:
        """The one before it is answered, or stands in the same batch."""
        before = submission.after
        if before is None or not before.done() or before.exception() is None:
            return False
        self._refuse(submission, before.exception())
        with self._lock:
            self._waiting -= len(submission.rows)
        return True

    def _refuse(self, submission: Submission, error: BaseException | None) -> None:
        refusal = NotStored("the events may not have been stored", "Send them again with the same event_id")
        refusal.__cause__ = error
        submission.done.set_exception(refusal)

    def _do(self, task: MaintenanceTask) -> None:
        try:
            self.catalogue.learn(idle=self._queue.empty())  # the batch before it may have left this to the next
            result = self._do_whole(task) if task.whole else task.do()
        except Exception as error:
            self._dirty = self._dirty or task.whole  # what it began is ended before the next batch
            task.done.set_exception(error)
        else:
            task.done.set_result(result)

    def _do_whole(self, task: MaintenanceTask) -> object:
        """In a turn of our own, when all views have what `events` has."""
        until = time.monotonic() + LEASE_TIMEOUT_SECONDS
        while True:
            self._dirty = self._dirty or self.warehouse.shared
            try:
                self._take_lease()
                result = task.do()
                if self.warehouse.shared:
                    self._note_lease()
                return result
            except LeaseLost:
                if time.monotonic() > until:
                    raise

    def confirm(self) -> None:
        """Raises LeaseLost if another writer took over."""
        if self.warehouse.shared:
            confirm(self.warehouse, self.epoch)

    def _take(self, first: Submission) -> Submission | MaintenanceTask | None:
        """Stores a submission and what can be stored with it; returns what came next and cannot."""
        together = [first]
        held = None
        try:
            held = None if first.of_items else self._gather(together)
        except Exception:  # what is together already is a batch
            log.exception("a batch closed early")
        if fit := [submission for submission in together if not self._refused_with_the_one_before(submission)]:
            self._answer(fit, idle=held is None and self._queue.empty())
        return held

    def _gather(self, together: list[Submission]) -> Submission | MaintenanceTask | None:
        """Adds what belongs to the same batch; returns the first that does not."""
        rows = len(together[0].rows)
        closes = time.monotonic() + self.settings.batch_seconds
        while rows < self.settings.batch_rows:
            try:
                more = self._queue.get(timeout=max(0.0, closes - time.monotonic()))
            except queue.Empty:
                return None
            if more is None:
                self._queue.put(None)
                return None
            if isinstance(more, MaintenanceTask):
                return more
            rows += len(more.rows)
            if more.of_items or more.source != together[0].source or rows > self.settings.batch_rows:
                return more
            together.append(more)
        return None

    def _answer(self, together: list[Submission], *, idle: bool) -> None:
        """Stores submissions and tells their callers. Whatever goes wrong, the thread lives and they are told."""
        try:
            results = self._store(together)
            self.catalogue.learn(idle=idle)
        except Exception as error:
            log.warning("a batch was not stored: %s", error, exc_info=not isinstance(error, AlsoboughtError))
            for submission in together:
                self._refuse(submission, error)
        else:
            for submission, stored in zip(together, results, strict=True):
                submission.done.set_result(stored)
        finally:
            with self._lock:
                self._waiting -= sum(len(submission.rows) for submission in together)

    def _store(self, together: list[Submission]) -> list[Stored]:
        """Stores them in our turn; if it is lost meanwhile, in the next."""
        until = time.monotonic() + LEASE_TIMEOUT_SECONDS
        made: tuple[Batch | None, list[Stored]] = (None, [])
        while True:
            try:
                self._take_lease()
                if together[0].of_items:
                    return [self._store_items(together[0])]
                if made[0] and self._has(made[0]):  # it was stored before the turn was lost
                    return made[1]
                made = self._make_batch(together)
                if made[0]:
                    self._finish(made[0])
                return made[1]
            except LeaseLost:
                if time.monotonic() > until:
                    raise

    # Events

    def _make_batch(self, together: list[Submission]) -> tuple[Batch | None, list[Stored]]:
        """The batch, if anything in it is new, and what will have become of each submission."""
        if self.catalogue.items_changed:  # events behind new items are stamped with their categories
            self.catalogue.read()
        now = self.clock()
        known, stored_before = self._known(together, now)
        people = self._people(together)
        rows: list[Row] = []
        results = []
        batch = self._next_seq()
        self._seq = batch - 1
        for submission in together:
            before, held = len(rows), set[int]()
            made = self._rows(submission, batch, now, people.accounts)
            for row, forgotten in zip(made, _of_before(submission, people.forgotten, now), strict=False):
                if (row.partition, row.offset) in stored_before:
                    held.add(row.offset)
                elif not forgotten and row.event_id not in known:
                    held.add(row.offset)
                    known.add(row.event_id)
                    rows.append(row)
            stored = len(rows) - before
            results.append(Stored(stored, len(submission.rows) - stored, now, len(held)))
        if not rows:
            return None, results
        first, last = rows[0], rows[-1]
        token = batch_token(first.source, first.partition, first.offset, last.offset, batch, self.epoch)
        return Batch(token, _encode_lines(rows), rows, now), results

    def _people(self, together: list[Submission]) -> Known:
        """What is known of the users of these events."""
        if not self.people.any:
            return Known()
        return self.people.among(
            {_user_of(event) for submission in together for event in cast(Sequence[Event], submission.rows)}
        )

    def _rows(self, submission: Submission, batch: int, now: datetime, accounts: Mapping[str, str]) -> list[Row]:
        """Made without names and calls, which would take twice the time: half of what a batch costs in Python is here."""
        events = cast(Sequence[Event], submission.rows)
        source, partition, epoch, unset = submission.source, submission.partition, self.epoch, msgspec.UNSET
        seqs = range(self._seq + 1, self._seq + 1 + len(events))
        self._seq += len(events)
        offsets = submission.offsets if submission.offsets is not None else seqs
        return [
            Row(
                event.event_id or _own_id(source, partition, offsets, nth),
                event.event_type,
                accounts.get(event.user_id or event.session_id) or event.user_id or event.session_id,
                event.item_id,
                now if event.timestamp is unset else event.timestamp,
                source,
                partition,
                offset,
                batch,
                epoch,
                now,
                seq,
                event.quantity,
                event.session_id,
                event.category,
                event.order_id,
                event.order_size,
                event.price,
                "" if event.properties is unset else msgspec.json.encode(event.properties).decode(),
            )
            for nth, (event, offset, seq) in enumerate(zip(events, offsets, seqs, strict=True))
        ]

    def _known(self, together: list[Submission], now: datetime) -> tuple[set[str], set[tuple[int, int]]]:
        """The event_ids among these that were stored within the horizon, and the places (of the one source) that ever were."""
        ids = [
            event.event_id
            for submission in together
            for event in cast(Sequence[Event], submission.rows)
            if event.event_id
        ]
        places: set[tuple[int, int]] = set()
        for one in together:
            if one.offsets is not None:
                stored = known_offsets(self.warehouse, one.source, one.partition, one.offsets[0], one.offsets[-1])
                places.update((one.partition, offset) for offset in stored)
        return known_ids(self.warehouse, ids, now - timedelta(days=self.settings.dedup_window_days)), places

    def _next_seq(self) -> int:
        """Microseconds that never fall behind what was given before."""
        return max(self._seq + 1, int(self.clock().timestamp() * 1_000_000))

    def take_seq(self) -> int:
        """A number above every seq so far, and below those to come."""
        self._seq = self._next_seq()
        return self._seq

    def begin(self) -> None:
        """Brings all views up to the last batch, with nothing to store yet. From the writer's thread, or before it runs."""
        self._take_lease()
        self._note_lease()

    def _take_lease(self) -> None:
        """At the start, and after a failure: a new epoch, all views brought up to the last batch, and what came before known."""
        if not self._dirty:
            return
        if self.warehouse.shared:
            self.epoch = self._seq = claim(self.warehouse, self._next_seq())
            self._first_of_lease = True
        if not ended_well(self.warehouse):
            self._heal()
        if finish_rewrites(self.warehouse):
            self.on_rewritten()
        self._read_newest()
        keep(self.warehouse, self.settings, self.clock(), self.take_seq())
        self._dirty = False
        if self._in_flight and self.as_of:  # a batch that failed may be there all the same
            self._tell_of_batch(self.as_of)

    def _read_newest(self) -> None:
        """The newest seq and ingest time, ours or another's. An embedded writer takes its epoch from them."""
        database = self.warehouse.database
        sql = f"""
            select
                max(seq),
                toString(max(ingested_at)),
                (select max(version) from {database}.items),
                (select max(id) from {database}.rewrites)
            from {database}.events
        """
        newest_seq, newest, *others = self.warehouse.trusted_rows(sql).data[0]
        if newest_seq:
            self.as_of = datetime.fromisoformat(newest).replace(tzinfo=UTC)
        self._seq = max(self._seq, int(newest_seq), *map(int, others))
        self.people.read()
        if not self.warehouse.shared:
            self.epoch = self._next_seq()

    def _finish(self, batch: Batch) -> None:
        """Stores a batch. If that fails, nothing else is stored until all views have what `events` has."""
        self._dirty, self._in_flight = True, batch.rows
        for attempt in range(1, ATTEMPTS + 1):
            try:
                reach("ingest.before_insert")
                self._insert("events", batch.lines, batch.token)
                reach("ingest.after_insert")
                if attempt > 1:
                    self._look_after(batch)
                break
            except LeaseLost:
                raise
            except AlsoboughtError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(0.1 * attempt)
        self._dirty = False
        self._tell_of_batch(batch.ingested_at)

    def _tell_of_batch(self, ingested_at: datetime) -> None:
        self.as_of = ingested_at
        self.on_stored(self._in_flight)
        self.catalogue.seen.update(row.item_id for row in self._in_flight)
        self._in_flight = []

    def _look_after(self, batch: Batch) -> None:
        """An insert that failed may have left its token behind without its rows: then the next one says OK and stores nothing."""
        if not self._has(batch):
            raise NotStored("the database took a batch for one it has")
        self._heal()

    def _heal(self) -> None:
        recover(self.warehouse, self.epoch if self.warehouse.shared else None)

    def _note_lease(self) -> None:
        """Once a turn: that others may have theirs."""
        if self._first_of_lease:
            note_stored(self.warehouse, self.epoch)
            self._first_of_lease = False

    def _has(self, batch: Batch) -> bool:
        """Whether `events` holds it."""
        first = batch.rows[0]
        sql = f"select count() from {self.warehouse.database}.events where batch = {first.batch} and epoch = {first.epoch}"
        sql += " and ingested_at = {now:DateTime64(3, 'UTC')}"
        found = self.warehouse.trusted_rows(sql, {"now": batch.ingested_at}).data[0][0]
        return int(found) == len(batch.rows)

    def _insert(self, table: str, lines: bytes, token: str) -> None:
        """Raises LeaseLost if another writer took over before."""
        if not self.warehouse.shared:
            self.warehouse.insert(table, lines, token)
            return
        try:
            self.warehouse.insert_fenced(table, lines, token, self.epoch)
            confirm(self.warehouse, self.epoch)
            self._note_lease()
        except LeaseLost:
            self._dirty = True
            raise

    # Items

    def _store_items(self, submission: Submission) -> Stored:
        now = self.clock()
        rows = []
        for item in cast(Sequence[Item], submission.rows):
            fields = msgspec.structs.asdict(item)
            rows.append(ItemRow(**fields, version=self.take_seq(), updated_at=now))
        self._insert("items", _encode_lines(rows), "")
        self.catalogue.items_changed = True
        return Stored(len(rows), 0, now)


def _user_of(event: Event) -> str:
    return event.user_id or event.session_id


def _of_before(submission: Submission, forgotten: Mapping[str, datetime], now: datetime) -> Iterable[bool]:
    """Of each event whether its user was forgotten after it happened, or after Kafka had it."""
    if not forgotten:
        return itertools.repeat(False)
    events = cast(Sequence[Event], submission.rows)
    happened = (in_utc(now if event.timestamp is msgspec.UNSET else event.timestamp) for event in events)
    since = map(min, happened, submission.sent()) if submission.sent else happened
    ends = (forgotten.get(_user_of(event)) for event in events)
    return [end is not None and at <= end for at, end in zip(since, ends, strict=True)]


def _own_id(source: str, partition: int, offsets: Sequence[int], nth: int) -> str:
    """The event_id of an event that has none: where it was. Several events of one message are told apart by their number.

    >>> [_own_id("kafka:events:x", 3, [7, 8, 8, 8], nth) for nth in range(3)]
    ['kafka:events:x:3:7', 'kafka:events:x:3:8', 'kafka:events:x:3:8:1']
    """
    offset, first = offsets[nth], nth
    while first and offsets[first - 1] == offset:
        first -= 1
    part, number = f"{partition}:" if partition else "", f":{nth - first}" if nth > first else ""
    return f"{source}:{part}{offset}{number}"


_encode_lines = msgspec.json.Encoder(decimal_format="number").encode_lines
