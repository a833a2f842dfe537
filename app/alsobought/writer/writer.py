"""The writer: one thread that gives every event its seq and stores it once, in batches.

An insert with views is not atomic. So `events` is the write-ahead log of the views: a batch carries its number and the
writer's epoch, is inserted as one block under one token, and is inserted again with that token until it succeeds. After a
crash or a failure `recover` inserts the last batch again, from `events` itself, for the views that lack it.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, cast

from alsobought import tracing
from alsobought.errors import AlsoboughtError, NotStored
from alsobought.events import Event
from alsobought.failpoints import reach
from alsobought.items import Item
from alsobought.recommendation_ids import recommendation_ids
from alsobought.settings import Settings
from alsobought.storage.catalogue import Catalogue
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.fenced_insert import insert_fenced
from alsobought.storage.identities import Identities, IdentityLookup
from alsobought.storage.ledger import resume_offset
from alsobought.storage.replicas import ReplicaChanged
from alsobought.users import User
from alsobought.writer.announcements import Announcements, OnStored, OnUsers
from alsobought.writer.append_log import AppendLog
from alsobought.writer.batching import Batch, build_batch, is_awaited, user_of
from alsobought.writer.catalogue_rows import changed_rows, stored_rows
from alsobought.writer.corrections import Corrections
from alsobought.writer.duplicates import find_duplicates
from alsobought.writer.fencing import LeaseLost
from alsobought.writer.lease import Lease
from alsobought.writer.queue import SMALL_BATCH_ROWS, WriterQueue
from alsobought.writer.recovery import mark_clean_shutdown
from alsobought.writer.refunds import Line
from alsobought.writer.rows import encode_lines
from alsobought.writer.sequence import SeqClock
from alsobought.writer.serving_refresh import ServingRefresh
from alsobought.writer.submission import POST, MaintenanceTask, Stored, Submission, utc_now
from alsobought.writer.user_rows import changed_users, known_users, stored_users

log = logging.getLogger(__name__)

# Most of what a small batch costs does not depend on its size. So small ones are PACE times as far apart as the last one took.
PACE = 2.0
MAX_PACE_SECONDS = 0.3
INSERT_ATTEMPTS = 3
RETRY_SECONDS = 0.1  # times the number of the attempt
LOGGED_RETRY_SECONDS, MAX_LOGGED_RETRY_SECONDS = 0.5, 8.0  # doubled after each attempt
LEASE_TIMEOUT_SECONDS = 20.0
IDLE_SECONDS = 0.05  # without a submission the writer makes rows of serving tables that are left, so long at a time
IDLE_REFRESH_SECONDS = 0.4
LAST_REFRESH_SECONDS = 5.0  # what is left after that is left to the next start
MANY_STEPS = 10  # of the serving tables at a start, after an upgrade
REFRESH_SECONDS, REFRESH_SHARE = 0.3, 0.1  # after a small batch; after a large one this share of the time it took


MAX_LINKS = 100  # of the span of a batch


class Writer:
    """Start one per warehouse; `submit` from any thread."""

    def __init__(
        self,
        warehouse: ClickHouseWarehouse,
        settings: Settings,
        clock: Callable[[], datetime] = utc_now,
        seq: SeqClock | None = None,
    ) -> None:
        """The writers of several shards share `seq`: a user who moves takes the numbers of its events along."""
        self.warehouse, self.settings, self.clock = warehouse, settings, clock
        self.on_stored: OnStored = lambda _rows, _accepted_at: None
        self.on_rewritten: Callable[[], None] = lambda: None
        self.on_users: OnUsers = lambda _ids, _accepted_at: None
        self.on_older_than_lease: Callable[[Sequence[Submission]], None] = lambda _: None  # may refuse them
        self.storing: Callable[[], AbstractContextManager[object]] = nullcontext  # entered while a batch is stored
        self.catalogue, self.identities = Catalogue(warehouse), IdentityLookup(warehouse)
        self.recommendations = recommendation_ids(settings, warehouse.folder, embedded=warehouse.embedded)
        self.serving = ServingRefresh(
            warehouse, settings.home_folder, followed=warehouse.shared or bool(settings.kafka)
        )
        self.lease = Lease(
            warehouse, settings, clock, self.identities, self._call_on_rewritten, self.serving.tables, seq
        )
        self.corrections = Corrections(warehouse, settings, clock, self.lease, self.serving.tables, self._run_exclusive)
        self.corrections.on_refunded = self._announce_refunded
        self.corrections.on_changed = self._call_on_rewritten
        self._queue = WriterQueue(settings)
        folder = warehouse.folder
        self._log = AppendLog(folder, settings.min_free_bytes, clock) if folder else None
        self._stopping, self._abandoned = threading.Event(), False
        self._paced_until = self._lease_at = 0.0
        self._in_flight: Batch | None = None
        self._unnamed = Announcements()  # batches whose items the catalogue may lack
        self._unmade = Announcements()  # batches whose rows serving tables may lack
        self.catalogue.on_new_ids = lambda: self._repeat(self._unnamed)
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Recovers from a crash, takes a new epoch, and starts the thread.

        On a full disk recovery fails: the service answers all the same, and the next batch tries again. Where another process
        reads Kafka, that one recovers; this one takes the lease only if it has something to store.
        """
        if self.warehouse.embedded or not self.settings.kafka:
            try:
                self.begin()
            except NotStored as error:
                log.warning("recovery after a crash is pending: %s", error)
            self.warehouse.bind(None)  # the thread binds itself
        if self.dirty:
            self.lease.read_newest()
        self.catalogue.reload()
        if self._log:
            self._queue.put_all(self._log.read_unstored(resume_offset(self.warehouse, POST) - 1))
        self._thread.start()

    def stop(self) -> None:
        """Stores what is waiting, then ends the thread."""
        if self._thread.is_alive():
            self._stopping.set()
            self._queue.close()
            self._thread.join()
            if self._log:
                self._log.close()
            if not self.dirty:
                mark_clean_shutdown(self.warehouse)

    def submit(self, submission: Submission) -> Future[Stored]:
        """Queues a submission. Posted events are durable afterwards if this warehouse has an append log: then they are `logged`.

        Raises Busy when too many rows are waiting, NotStored when the log cannot be written. The future raises NotStored when the
        warehouse refuses, or, for events in the log, when the writer stops first: then the next start stores them.
        """
        if not submission.rows:
            submission.done.set_result(Stored(0, 0, self.as_of or self.clock()))
        elif self._log and submission.source == POST and submission.kind == "event":
            self._queue.put(submission, self._log.append)
        else:
            self._queue.put(submission)
        return submission.done

    def require_room(self, submission: Submission) -> None:
        """Raises Busy if `submit` would."""
        self._queue.require_room(submission)

    def listen(self, on_stored: Callable[[Writer], OnStored], on_users: OnUsers, on_reload: Callable[[], None]) -> None:
        """Calls these with what is stored, and after the catalogue was reloaded since items changed."""
        self.on_stored, self.on_users, self.catalogue.on_reload = on_stored(self), on_users, on_reload

    def when_rewritten(self, listener: Callable[[], None]) -> None:
        """Calls this after stored rows were changed."""
        self.on_rewritten = listener

    def run(self, task: MaintenanceTask) -> Future[Any]:
        """The future has the result of the task or raises its exception, NotStored if the writer has stopped."""
        if not self.alive:
            task.done.set_exception(NotStored("the writer has stopped"))
        else:
            self._queue.put_task(task)
        return task.done

    @property
    def logs(self) -> bool:
        """True if posted events are durable before they are stored."""
        return self._log is not None

    @property
    def started(self) -> bool:
        """True if the thread runs or has run."""
        return self._thread.ident is not None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def dirty(self) -> bool:
        """True if views may lack the last batch, or another process may write: the next batch begins with recovery."""
        return self.lease.dirty

    @property
    def as_of(self) -> datetime | None:
        """The ingest time of the newest stored batch."""
        return self.lease.as_of

    @property
    def waiting(self) -> int:
        """Events, items and users in the queue."""
        return self._queue.waiting_rows

    @property
    def waiting_bytes(self) -> int:
        return self._queue.waiting_bytes

    def take_seq(self) -> int:
        """A number above every seq so far, and below those to come."""
        return self.lease.seq.take()

    def confirm(self) -> None:
        """Raises LeaseLost if another writer took over."""
        self.lease.confirm()

    def begin(self) -> None:
        """Takes the lease and recovers, with nothing to store yet. From the writer's thread, or before it runs."""
        self._take_lease()
        if self.serving.pending > MANY_STEPS:
            log.warning("making %d parts of serving tables: this may take a minute", self.serving.pending)
        self.serving.refresh()
        self.lease.record_stored()

    # The thread

    def _run(self) -> None:
        while True:
            try:
                taken = self._queue.take(IDLE_SECONDS if self._has_idle_work else None)
            except queue.Empty:
                self._work_while_idle()
                continue
            if taken is None:
                break
            if isinstance(taken, MaintenanceTask):
                self._run_task(taken)
            else:
                self._run_batch(taken)
        self.serving.refresh(LAST_REFRESH_SECONDS)

    @property
    def _has_idle_work(self) -> bool:
        return self.serving.has_work or self.catalogue.demand_changed or self.corrections.due

    def _work_while_idle(self) -> None:
        self.catalogue.refresh_demand()
        if self.corrections.due and not self.dirty:
            self.corrections.apply_due()
        if self.serving.pending and not self.dirty:
            self.serving.refresh(IDLE_REFRESH_SECONDS)
            self._repeat_if_made()

    def _run_task(self, task: MaintenanceTask) -> None:
        try:
            self.catalogue.refresh(idle=self._queue.idle)  # the batch before it may have left this to the next
            if task.exclusive and self._log:
                self._log.rotate()  # so that the events of a user who is erased do not stay in it
            result = self._run_exclusive(task.action) if task.exclusive else task.action()
            self._repeat_if_made()
        except Exception as error:
            self.lease.dirty = self.dirty or task.exclusive  # the next lease finishes what it began
            task.done.set_exception(error)
        else:
            task.done.set_result(result)

    def _run_exclusive(self, action: Callable[[], object]) -> object:
        """Does something under a lease of its own, when all views have every batch."""
        until = time.monotonic() + LEASE_TIMEOUT_SECONDS
        while True:
            self.lease.dirty = self.dirty or self.warehouse.shared
            try:
                self._take_lease()
                result = action()
                if self.warehouse.shared:
                    self.lease.record_stored()
                return result
            except (LeaseLost, ReplicaChanged):
                if time.monotonic() > until:
                    raise

    def _run_batch(self, first: Submission) -> None:
        """Stores a submission, and those behind it that fit into the same batch."""
        batch = [first]
        try:
            if first.kind == "event":
                self._queue.gather(batch, self._paced_until)
        except Exception:  # the submissions gathered so far are a batch
            log.exception("a batch closed early")
        started = time.monotonic()
        if accepted := [submission for submission in batch if not self._failed_with_previous(submission)]:
            with self.storing(), _store_span(accepted):
                self._store_and_answer(accepted)
        ended = time.monotonic()
        self._paced_until = ended + min(MAX_PACE_SECONDS, PACE * (ended - started))

    def _failed_with_previous(self, submission: Submission) -> bool:
        """Fails a submission whose previous one failed. That one is answered by now, or in the same batch."""
        previous = submission.after
        if previous is None or not previous.done() or previous.exception() is None:
            return False
        self._fail(submission, previous.exception())
        self._queue.release(submission)
        return True

    def _fail(self, submission: Submission, error: BaseException | None) -> None:
        failure = NotStored("the events may not have been stored", "Send them again with the same event_id")
        failure.__cause__ = error
        submission.done.set_exception(failure)

    def _store_and_answer(self, submissions: list[Submission]) -> None:
        """Stores submissions and resolves their futures. No exception ends the thread."""
        try:
            outcomes = self._store_logged(submissions) if submissions[0].logged else self._store_now(submissions)
        except Exception as error:
            for submission in submissions:
                self._fail(submission, error)
        else:
            for submission, stored in zip(submissions, outcomes, strict=True):
                submission.done.set_result(stored)
        finally:
            self._queue.release(*submissions)

    def _store_logged(self, submissions: list[Submission]) -> list[Stored]:
        """Stores posts from the log, whatever it takes: they are answered already, and a later one must not overtake them.

        Raises NotStored once the writer stops: then the next start stores them, and all behind them.
        """
        pause = LOGGED_RETRY_SECONDS
        while not self._abandoned:
            try:
                outcomes = self._store_now(submissions)
            except Exception:
                for submission in submissions:
                    submission.may_be_stored = True
                self._abandoned = self._stopping.wait(pause)
                pause = min(MAX_LOGGED_RETRY_SECONDS, 2 * pause)
            else:
                if self._log:
                    self._log.mark_stored(submissions[-1].last_offset)
                return outcomes
        raise NotStored("the writer stopped", "The next start stores the events")

    def _store_now(self, submissions: list[Submission]) -> list[Stored]:
        try:
            outcomes = self._store(submissions)
            # Who waits expects to see what they sent, under its name.
            self.catalogue.refresh(idle=self._queue.idle or is_awaited(submissions))
            if not self.catalogue.items_changed:
                self.corrections.add_few_categories()
        except Exception as error:
            log.warning("a batch was not stored: %s", error, exc_info=not isinstance(error, AlsoboughtError))
            raise
        return outcomes

    def _store(self, submissions: list[Submission]) -> list[Stored]:
        """Stores submissions under the lease; if that is lost meanwhile, under the next."""
        until = time.monotonic() + LEASE_TIMEOUT_SECONDS
        batch: Batch | None = None
        outcomes: list[Stored] = []
        while True:
            try:
                self._take_lease()
                if min(submission.accepted_at for submission in submissions) < self._lease_at:
                    self.on_older_than_lease(submissions)
                if store := {"item": self._store_items, "user": self._store_users}.get(submissions[0].kind):
                    return [store(submissions[0])]
                if batch and self._is_stored(batch):  # it was stored before the lease was lost
                    return outcomes
                batch, outcomes = self._build_batch(submissions)
                if batch:
                    self._store_batch(batch)
                elif is_awaited(submissions):  # all duplicates, perhaps of events that nobody waited for
                    self.on_stored((), None)
                return outcomes
            except (LeaseLost, ReplicaChanged):
                if time.monotonic() > until:
                    raise

    def _call_on_rewritten(self) -> None:
        self.on_rewritten()  # whichever function is set by now

    def _take_lease(self) -> None:
        if not self.dirty:
            self.lease.bind()
            return
        self.catalogue.items_changed |= self.lease.moved
        self.lease.take()
        self._lease_at = time.monotonic()
        self.serving.catch_up()
        self.corrections.refunds.catch_up()
        if self._in_flight and self.as_of:  # a batch that failed may be stored all the same
            self._announce(self._in_flight, self.as_of)

    # Events

    def _build_batch(self, submissions: list[Submission]) -> tuple[Batch | None, list[Stored]]:
        if self.catalogue.items_changed:  # events behind new items are stamped with their categories
            self.catalogue.reload()
        now = self.clock()
        window = timedelta(days=self.settings.dedup_window_days)
        duplicates = find_duplicates(self.warehouse, submissions, now - window)
        identities = self._find_identities(submissions)
        return build_batch(
            submissions,
            first_seq=self.lease.seq.take(sum(len(submission.rows) for submission in submissions)),
            epoch=self.lease.epoch,
            now=now,
            duplicates=duplicates,
            identities=identities,
            recommendations=self.recommendations,
        )

    def _find_identities(self, submissions: list[Submission]) -> Identities:
        if self.identities.empty:
            return Identities()
        return self.identities.of(
            {user_of(event) for submission in submissions for event in cast(Sequence[Event], submission.rows)}
        )

    def _store_batch(self, batch: Batch) -> None:
        """Inserts a batch. If that fails, nothing else is stored until all views have what `events` has."""
        self.lease.dirty, self._in_flight = True, batch
        started = time.monotonic()
        for attempt in range(1, INSERT_ATTEMPTS + 1):
            try:
                if attempt == 1:
                    self.lease.note_before_insert(batch.rows[0].batch)
                reach("ingest.before_insert")
                with tracing.span("insert", client=True, db__system__name="clickhouse", rows=len(batch.rows)):
                    self._insert("events", batch.lines, batch.token)
                reach("ingest.after_insert")
                if attempt > 1:
                    self._verify_retry(batch)
                break
            except (LeaseLost, ReplicaChanged):
                raise
            except AlsoboughtError:
                if attempt == INSERT_ATTEMPTS:
                    raise
                time.sleep(RETRY_SECONDS * attempt)
        self.lease.note_inserted()
        self._announce(batch, batch.ingested_at, time.monotonic() - started)
        self.corrections.note_events(batch.rows, awaited=batch.awaited)

    def _verify_retry(self, batch: Batch) -> None:
        """A failed insert may leave its token behind without its rows: then the retry returns OK and stores nothing."""
        if not self._is_stored(batch):
            raise NotStored("ClickHouse dropped the batch as a duplicate")
        self.lease.recover()

    def _is_stored(self, batch: Batch) -> bool:
        """True if `events` has all rows of this batch."""
        first = batch.rows[0]
        sql = f"select count() from {self.warehouse.database}.events where batch = {first.batch} and epoch = {first.epoch}"
        sql += " and ingested_at = {now:DateTime64(3, 'UTC')}"
        count = self.warehouse.trusted_rows(sql, {"now": batch.ingested_at}).data[0][0]
        return int(count) == len(batch.rows)

    def _announce(self, batch: Batch, as_of: datetime, insert_seconds: float = 0.0) -> None:
        """Publishes that the batch in flight is stored, its rows in serving tables made before, if there is time for all."""
        self.serving.note(batch.rows, batch.rows[-1].seq)
        small = len(batch.rows) <= SMALL_BATCH_ROWS
        seconds = REFRESH_SECONDS if small else REFRESH_SHARE * insert_seconds
        self.serving.refresh(seconds, newest=small or batch.awaited)
        self.lease.as_of = as_of
        self.catalogue.demand_changed |= any(row.event_type == "purchase" for row in batch.rows)
        announced = batch.rows, None if batch.awaited else batch.accepted_at
        self.on_stored(*announced)
        if self.serving.pending:
            self._unmade.add(announced)
        self._repeat_if_made()
        if not self.catalogue.pending_ids:
            self._unnamed.clear()
        self._unnamed.add(announced)
        self.catalogue.pending_ids.update(row.item_id for row in batch.rows)
        self._in_flight = None

    def _announce_refunded(self, lines: Sequence[Line]) -> None:
        """What a refunded purchase makes out of date is what a purchase does."""
        self.on_stored([line.as_row(self.clock()) for line in lines], None)

    def _repeat_if_made(self) -> None:
        """Answers may have been computed from rows that were made after their events were announced."""
        if self.serving.made_parts:
            self.serving.made_parts = False
            self._unmade.add_everything()
        if not self.serving.pending:
            self._repeat(self._unmade)

    def _repeat(self, announcements: Announcements) -> None:
        announcements.repeat(self.on_stored, self.catalogue.on_reload)

    def _insert(self, table: str, lines: bytes, token: str) -> None:
        """Raises LeaseLost if another writer took over before."""
        if not self.warehouse.shared:
            self.warehouse.insert(table, lines, token)
            return
        try:
            insert_fenced(self.warehouse, table, lines, token, self.lease.epoch)
            self.lease.confirm()
            self.lease.record_stored()
        except LeaseLost:
            self.lease.dirty = True
            raise

    # Items and users

    def _store_items(self, submission: Submission) -> Stored:
        now = self.clock()
        items = cast(Sequence[Item], submission.rows)
        stored = stored_rows(self.warehouse, {item.item_id for item in items})
        categorized = {row.item_id for row in stored.values() if row.category}
        rows = changed_rows(items, stored, (self.take_seq() for _ in items), now)
        self._insert("items", encode_lines(rows), "")
        self.catalogue.items_changed = True
        self.corrections.note_items(rows, categorized)
        return Stored(len(rows), 0, now)

    def _store_users(self, submission: Submission) -> Stored:
        """Stores users; those who are sent again as they are stored need no row."""
        now = self.clock()
        users = cast(Sequence[User], submission.rows)
        identities = Identities() if self.identities.empty else self.identities.of({user.user_id for user in users})
        sent_at = submission.sent_at() if submission.sent_at else [now] * len(users)
        known = known_users(users, identities, sent_at, now)
        ids = {identities.accounts.get(user.user_id, user.user_id) for user in known}
        first_version = self.lease.seq.take(max(1, len(known)))
        rows = changed_users(known, stored_users(self.warehouse, ids), identities.accounts, first_version, now)
        if rows:
            self._insert("users", encode_lines(rows), "")
            self.on_users(sorted(ids), None if submission.waiting else submission.accepted_at)
        return Stored(len(known), len(users) - len(known), now)


def _store_span(submissions: Sequence[Submission]) -> AbstractContextManager[object]:
    """The span of a batch, linked to those of the requests and polls that sent its rows."""
    if not tracing.enabled():
        return nullcontext()
    return tracing.span(
        "store",
        links=[submission.trace for submission in submissions][:MAX_LINKS],
        kind=submissions[0].kind,
        source=submissions[0].source,
        submissions=len(submissions),
        rows=sum(len(submission.rows) for submission in submissions),
        waited=time.monotonic() - submissions[0].accepted_at,
    )
