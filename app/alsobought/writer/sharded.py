"""The writer of a cluster: it routes rows by user to one `Writer` for each shard.

Each of those stores its rows as on a server of its own, with its lease, its ledger and its recovery. A submission is stored when
each shard has its part. All submissions of a user take the same way, so their order is kept.

Between the look-up of a guest's account and the queue of a shard, no merge may move the guest: routing and exclusive tasks
exclude each other. Another process may merge as well. It takes the leases of the shards for that, so a shard that takes its lease
again checks that the rows in its batch still belong to it (`Misrouted`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from alsobought.errors import NotStored
from alsobought.settings import Settings
from alsobought.storage.cluster import ClusterWarehouse
from alsobought.storage.identities import IdentityLookup, accounts_of
from alsobought.storage.topology import shard_index, shard_settings, shards_of
from alsobought.writer.announcements import OnStored, OnUsers
from alsobought.writer.routing import route, users_of
from alsobought.writer.sequence import SeqClock
from alsobought.writer.submission import MaintenanceTask, Stored, Submission, settle, utc_now
from alsobought.writer.user_move import resume_moves
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

Parts = dict[int, Future[Stored]]


class Misrouted(NotStored):
    """Users of a batch were merged into accounts on other shards after it was routed."""


class ShardedWriter:
    """Start one per cluster; `submit` from any thread. `writers` are those of the shards, in order."""

    def __init__(
        self, warehouse: ClusterWarehouse, settings: Settings, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.warehouse, self.settings, self.clock = warehouse, settings, clock
        seq = SeqClock(clock)
        self.writers = [
            Writer(one, shard_settings(settings, shard), clock, seq)
            for one, shard in zip(warehouse.shards, shards_of(settings), strict=True)
        ]
        self.identities = IdentityLookup(warehouse)
        for index, writer in enumerate(self.writers):
            writer.on_older_than_lease = self._checks_of(index)
        self._routing = threading.RLock()
        self._tasks = ThreadPoolExecutor(1, thread_name_prefix="cluster")
        self._moves_may_be_open = False
        self._latest: WeakKeyDictionary[Future[Stored], Parts] = WeakKeyDictionary()

    # Life

    def start(self) -> None:
        """Starts the writer of each shard. Raises what they raise."""
        for writer in self.writers:
            writer.start()
        with self._routing:
            if not all(writer.dirty for writer in self.writers):
                self._resume_moves()
            self.identities.refresh()

    def stop(self) -> None:
        """Stores what is waiting, then ends the threads."""
        self._tasks.shutdown()  # before the lock: a task may wait for it
        with self._routing:
            for writer in self.writers:
                writer.stop()

    @property
    def started(self) -> bool:
        return all(writer.started for writer in self.writers)

    @property
    def alive(self) -> bool:
        return all(writer.alive for writer in self.writers)

    @property
    def dirty(self) -> bool:
        return any(writer.dirty for writer in self.writers)

    @property
    def logs(self) -> bool:
        return False

    @property
    def as_of(self) -> datetime | None:
        """The ingest time of the newest batch of any shard."""
        return max((writer.as_of for writer in self.writers if writer.as_of), default=None)

    @property
    def waiting(self) -> int:
        return sum(writer.waiting for writer in self.writers)

    @property
    def waiting_bytes(self) -> int:
        return sum(writer.waiting_bytes for writer in self.writers)

    def begin(self) -> None:
        """Takes the leases of all shards, and recovers them. From the thread of the tasks."""
        for done in [writer.run(MaintenanceTask(writer.begin)) for writer in self.writers]:
            done.result()
        with self._routing:
            self._resume_moves()
            self.identities.refresh()

    # Listeners

    def listen(self, on_stored: Callable[[Writer], OnStored], on_users: OnUsers, on_reload: Callable[[], None]) -> None:
        """Calls these with what each shard stores; `on_stored` makes one listener for each, as each has a thread of its own."""
        for writer in self.writers:
            writer.on_stored, writer.on_users = on_stored(writer), on_users
            writer.catalogue.on_reload = on_reload

    def when_rewritten(self, listener: Callable[[], None]) -> None:
        for writer in self.writers:
            writer.on_rewritten = listener

    # Rows

    def submit(self, submission: Submission) -> Future[Stored]:
        """Queues the parts of a submission, each on its shard, or none of them.

        Raises Busy when a shard is behind. The future raises NotStored when a shard refuses: others may have stored their part.
        """
        if not submission.rows:
            submission.done.set_result(Stored(0, 0, self.as_of or self.clock()))
            return submission.done
        with self._routing:
            if self._moves_may_be_open:
                self._resume_moves()
            users = users_of(submission)
            parts = route(submission, users, self._accounts(users), len(self.writers))
            for shard, part in parts.items():
                self.writers[shard].require_room(part)
            earlier = self._latest.get(submission.after, {}) if submission.after else {}
            for shard, part in parts.items():
                part.after = earlier.get(shard)
                self.writers[shard].submit(part)
            # A shard without a part keeps the latest of its own: the next rows for it wait for that.
            self._latest[submission.done] = earlier | {shard: part.done for shard, part in parts.items()}
        done = [part.done for part in parts.values()]
        _when_all(done, lambda: self._settle(submission, done))
        return submission.done

    def shard_of_account(self, account: str) -> int:
        """The index of the shard that has the events of an account."""
        return shard_index(account, len(self.writers))

    def _accounts(self, users: Collection[str]) -> dict[str, str]:
        return accounts_of(self.warehouse, set(users)) if users and not self.identities.empty else {}

    def _settle(self, submission: Submission, parts: Sequence[Future[Stored]]) -> None:
        if submission.kind == "item":  # each shard stored the same rows
            parts = [next((part for part in parts if part.exception()), parts[0])]
        whole: Future[Stored] = Future()
        settle(whole, parts)
        if error := whole.exception():
            submission.done.set_exception(error)
            return
        stored = whole.result()
        if submission.offsets is not None:  # the events of one message may be on two shards
            offsets = min(stored.offsets, len(set(submission.offsets)))
            stored = Stored(stored.rows, stored.duplicates, stored.as_of, offsets)
        submission.done.set_result(stored)

    def _checks_of(self, shard: int) -> Callable[[Sequence[Submission]], None]:
        """What the writer of a shard asks of rows that were routed before its lease: were users of them merged elsewhere since?"""

        def check(submissions: Sequence[Submission]) -> None:
            self.identities.refresh()
            users = {user for submission in submissions for user in users_of(submission)}
            accounts = self._accounts(users)
            moved = sum(self.shard_of_account(accounts.get(user, user)) != shard for user in users)
            if moved:
                raise Misrouted(f"{moved} users were merged into accounts of other shards", "Send them again")

        return check

    # Tasks

    def run(self, task: MaintenanceTask) -> Future[Any]:
        """Runs a task once all shards have what was submitted before it; an exclusive one while nothing is submitted.

        What it does to the rows of a shard, it does by tasks of that shard's writer.
        """
        try:
            self._tasks.submit(self._run_task, task)
        except RuntimeError:  # it has stopped
            task.done.set_exception(NotStored("the writer has stopped"))
        return task.done

    def _run_task(self, task: MaintenanceTask) -> None:
        try:
            with self._routing if task.exclusive else nullcontext():
                for done in [writer.run(MaintenanceTask(_nothing)) for writer in self.writers]:
                    done.result()
                result = self._run_exclusive(task) if task.exclusive else task.action()
        except Exception as error:
            task.done.set_exception(error)
        else:
            task.done.set_result(result)

    def _run_exclusive(self, task: MaintenanceTask) -> object:
        if self._moves_may_be_open:
            self._resume_moves()
        self._moves_may_be_open = True
        result = task.action()
        self._moves_may_be_open = False
        self.identities.refresh()
        return result

    def _resume_moves(self) -> None:
        """Finishes moves of users between shards that a crash, or a fault of a shard, interrupted. Raises NotStored."""
        self._moves_may_be_open = True
        resume_moves(self.writers, self.shard_of_account)
        self._moves_may_be_open = False


AnyWriter = Writer | ShardedWriter


def writers_of(writer: AnyWriter) -> Sequence[Writer]:
    """The writers of the shards, or the one that there is."""
    return writer.writers if isinstance(writer, ShardedWriter) else [writer]


def _nothing() -> None:
    """A task that only waits for its turn."""


def _when_all(futures: Sequence[Future[Stored]], action: Callable[[], None]) -> None:
    """Calls the action in the thread that resolves the last of these futures."""
    left, lock = [len(futures)], threading.Lock()

    def one_less(_: Future[Stored]) -> None:
        with lock:
            left[0] -= 1
            if left[0]:
                return
        action()

    for future in futures:
        future.add_done_callback(one_less)
