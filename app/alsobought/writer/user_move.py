"""Moves of users between two warehouses, the shards of a cluster: exactly, whatever crashes.

The users' rows are staged in the target; the move is noted in the source's journal; the target adopts the users; they leave the
source. Between the last two, their events count in both warehouses for a moment. Each half is journaled where it happens, and
the target records that it has adopted them: so `resume_moves` knows what is left to do.

Nothing may be stored of these users meanwhile: both writers are held, and whoever routes events sends none of theirs until the
move has ended or was resumed. Events that came to the source after a move failed half-way stay there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from alsobought.errors import NotStored
from alsobought.failpoints import reach
from alsobought.redaction import shown_address
from alsobought.storage import mutation_journal
from alsobought.storage.count_tables import count_tables
from alsobought.storage.identities import accounts_of
from alsobought.storage.mutation_journal import Rewrite
from alsobought.storage.retention import horizon, inherit_horizon
from alsobought.storage.serving_tables import ServingTable
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.writer.move_halves import ADOPTED
from alsobought.writer.rewrite_context import UserRewrite, quoted_list
from alsobought.writer.staging import drop_stage, moved_tables, stage_users
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.user_rewrite import rewrite_users
from alsobought.writer.writer import Writer

MOVE, HOMING = mutation_journal.NOTES
MAX_EVENTS = 200_000  # of the users of one rewrite: their counts are computed in memory
MAX_NAME_BYTES = 100_000  # of their ids, which stand in the text of statements

ShardOf = Callable[[str], int]
"""The number of the shard of an account."""
T = TypeVar("T")


class Move(msgspec.Struct, frozen=True):
    """The note of a move: who moves, and when it began. `target` is the address of the other warehouse."""

    users: list[str]
    at: datetime
    target: str
    horizon: int = 0


class Homing(msgspec.Struct, frozen=True):
    """The note of a merge across shards, or its undoing: afterwards the rows of these users are on the shards of their accounts."""

    users: list[str]


def together(writers: Iterable[Writer], action: Callable[[], T]) -> T:
    """Runs an action while these writers store nothing, each under its lease. Not from the thread of one of them.

    They are held in the order of their addresses, so that two such actions never wait for each other.
    """
    first, *others = sorted(set(writers), key=_address)
    inner = (lambda: together(others, action)) if others else action
    return first.run(MaintenanceTask(inner, exclusive=True)).result()  # type: ignore[no-any-return]


def move_users(source: Writer, target: Writer, users: Sequence[str]) -> int:
    """Moves what the source has of these users to the target, and returns the number of their events.

    Guests who were merged into them come along. Many users move in several steps, each exact in itself. Raises what the
    warehouses raise: then call `resume_moves` before anything is stored of these users.
    """
    return together([source, target], lambda: move_while_held(source, target, users))


def move_while_held(
    source: Writer,
    target: Writer,
    users: Sequence[str],
    *,
    refresh: bool = True,
    on_moved: Callable[[int], object] = lambda _: None,
) -> int:
    """The same within `together`. Without `refresh`, the caller makes the rows of serving tables again.

    `on_moved` is called with the number of events after each step.
    """
    _finish_between(source, target)
    _apply_refunds(source)
    events = 0
    for step in _steps(source, users):
        moved = _move(source, target, step, refresh=refresh)
        on_moved(moved)
        events += moved
    _announce([source, target])
    return events


def resume_moves(writers: Sequence[Writer], shard_of: ShardOf) -> int:
    """Finishes the moves, and the merges across shards, that a crash interrupted; returns their number.

    Before anything is routed to the writers, which are those of all shards in their order. Users who were adopted leave the source;
    if they were not, nothing has happened. Then a merge has happened or not: its users are on the shard of their account.
    """
    if not any(mutation_journal.open_notes(writer.warehouse) for writer in writers):
        return 0
    return together(writers, lambda: resume_while_held(writers, shard_of))


def resume_while_held(writers: Sequence[Writer], shard_of: ShardOf) -> int:
    """The same within `together`."""
    resumed = 0
    for kind in (MOVE, HOMING):
        for source in writers:
            for note in mutation_journal.open_notes(source.warehouse):
                if note.kind == kind == MOVE:
                    _finish_move(source, note, _adopter(writers, note))
                elif note.kind == kind:
                    users = msgspec.json.decode(note.about, type=Homing).users
                    send_home(writers, shard_of, users)
                    mutation_journal.finish(source.warehouse, note)
                resumed += note.kind == kind
    for writer in writers:
        drop_stage(writer.warehouse)
    _announce(writers)
    return resumed


def note_homing(writer: Writer, users: Sequence[str]) -> Rewrite:
    """Notes that a merge across shards begins. Whoever closes the note has finished it or called `send_home`."""
    about = msgspec.json.encode(Homing(list(users))).decode()
    return mutation_journal.note(writer.warehouse, writer.take_seq(), HOMING, about)


def send_home(writers: Sequence[Writer], shard_of: ShardOf, users: Sequence[str]) -> None:
    """Moves what any shard has of these users to the shard of their account. Within `together`."""
    accounts = accounts_across(writers, users)
    homes: dict[int, list[str]] = defaultdict(list)
    for user in dict.fromkeys(accounts.get(user, user) for user in users):
        homes[shard_of(user)].append(user)
    for home, residents in homes.items():
        for source in writers:
            if source is not writers[home] and (away := _known(source, residents)):
                move_while_held(source, writers[home], away)


def accounts_across(writers: Iterable[Writer], users: Sequence[str]) -> dict[str, str]:
    """The account of each of these users who was merged into one: that is recorded on the shard of the account alone."""
    accounts: dict[str, str] = {}
    for writer in writers:
        accounts |= accounts_of(writer.warehouse, users)
    return accounts


def _move(source: Writer, target: Writer, users: list[str], *, refresh: bool) -> int:
    now = source.clock()
    since = max(horizon(writer.warehouse, writer.settings, now) for writer in (source, target))
    inherit_horizon(source.warehouse, target.warehouse, target.take_seq())
    tables = count_tables(source.warehouse)
    events = stage_users(source.warehouse, target.warehouse, quoted_list(users), tables)
    reach("move.staged")
    identity = max(source.take_seq(), target.take_seq())
    for writer in (source, target):
        writer.lease.seq.see(identity)
    move = Move(users, now, _address(target), since)
    note = _note(source, identity, move)
    reach("move.noted")
    _rewrite(target, move, identity, adopts=True, refresh=refresh)
    reach("move.adopted")
    _rewrite(source, move, identity, adopts=False, refresh=refresh)
    reach("move.left")
    mutation_journal.finish(source.warehouse, note)
    return events


def _note(source: Writer, identity: int, move: Move) -> Rewrite:
    """Notes a move. Raises LeaseLost if another writer may have stored events since they were staged: then nothing has happened.

    Whoever takes the lease later sees the note, and gives its events higher numbers.
    """
    note = mutation_journal.note(source.warehouse, identity, MOVE, msgspec.json.encode(move).decode())
    try:
        source.confirm()
    except BaseException:
        mutation_journal.finish(source.warehouse, note)
        raise
    return note


def _rewrite(writer: Writer, move: Move, identity: int, *, adopts: bool, refresh: bool = True) -> None:
    serving: Sequence[ServingTable] = writer.serving.tables if refresh else ()
    request = UserRewrite(move.users, "", move.at, move.horizon, move=identity, adopts=adopts)
    rewrite_users(writer.warehouse, writer.take_seq(), request, writer.confirm, serving)


def _finish_between(source: Writer, target: Writer) -> None:
    """Finishes a move between these two that failed before. Raises NotStored for one to another warehouse."""
    for note in mutation_journal.open_notes(source.warehouse):
        if note.kind != MOVE:
            continue
        if msgspec.json.decode(note.about, type=Move).target != _address(target):
            raise NotStored("a move of users to another shard is not finished", "Resume it first")
        _finish_move(source, note, _adopter([target], note))


def _adopter(writers: Iterable[Writer], note: Rewrite) -> Writer | None:
    """The writer whose warehouse adopted the users."""
    adopted = (w for w in writers if mutation_journal.is_recorded(w.warehouse, note.id, ADOPTED))
    return next(adopted, None)


def _finish_move(source: Writer, note: Rewrite, adopter: Writer | None) -> None:
    """The users leave if they were adopted; leaving twice does no harm."""
    if adopter:
        _rewrite(source, msgspec.json.decode(note.about, type=Move), note.id, adopts=False)
    mutation_journal.finish(source.warehouse, note)


def _apply_refunds(writer: Writer) -> None:
    """Applies what is left to apply, so that the target has nothing to remember."""
    while writer.corrections.refunds.users:
        writer.corrections.apply_refunds()


def _announce(writers: Iterable[Writer]) -> None:
    for writer in writers:
        writer.identities.refresh()
        writer.corrections.refunds.catch_up()
        writer.on_rewritten()


def _steps(source: Writer, users: Sequence[str]) -> Iterator[list[str]]:
    """The users in groups whose rows fit into memory. One with more events than that moves alone."""
    sql = f"select user_id, count() from {source.warehouse.database}.events where user_id in ({select_list('users')})"
    rows = source.warehouse.trusted_rows(f"{sql} group by user_id", {"users": list_parameter(users)}).data
    counts = {str(user): int(events) for user, events in rows}
    step: list[str] = []
    events = size = 0
    for user in dict.fromkeys(users):
        own_events, own_size = counts.get(user, 0), len(user.encode()) + 4
        if step and (events + own_events > MAX_EVENTS or size + own_size > MAX_NAME_BYTES):
            yield step
            step, events, size = [], 0, 0
        step.append(user)
        events, size = events + own_events, size + own_size
    if step:
        yield step


def _known(writer: Writer, users: Sequence[str]) -> list[str]:
    """Those of these users of whom a warehouse has any rows."""
    warehouse = writer.warehouse
    named = [table.name for table in moved_tables(count_tables(warehouse)) if table.has_user_id]
    selects = (
        f"select distinct user_id from {warehouse.database}.{table} where user_id in ({select_list('users')})"
        for table in ("events", "users", "user_merges", *named)
    )
    rows = warehouse.trusted_rows(" union distinct ".join(selects), {"users": list_parameter(users)}).data
    known = {str(user) for (user,) in rows}
    return [user for user in users if user in known]


def _address(writer: Writer) -> str:
    """What tells the warehouses of a cluster apart, without secrets."""
    return f"{shown_address(writer.warehouse.dsn)} {writer.warehouse.database}"
