"""Erasure of a user, merge of a guest into an account, its undoing, and refunds: rows are removed from every table, become
another's, or lose the purchases that were taken back.

The rows that a user adds to a table are what its view computes from the user's events alone, since pairs and first times never
span users. So each count table is rewritten from these events as they were and as they will be (`writer.table_rewrites`), and
the events themselves go last, since everything else is computed from them.

Every step is safe to repeat. Where a repeated insert would count twice, the journal (`storage.mutation_journal`) shows by the
newest block of the table whether it was done. After a crash, the next writer finishes the rewrite before it stores anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.count_tables import CountTable, count_tables
from alsobought.storage.replicated_tables import create_like
from alsobought.storage.serving_tables import ServingTable
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.event_categories import KIND, finish_categories
from alsobought.writer.move_halves import carry_out_move
from alsobought.writer.rewrite_context import RewriteContext, UserRewrite
from alsobought.writer.table_rewrites import refresh_serving_tables, rewrite_table
from alsobought.writer.user_records import carry_attributes, delete_traces, record_identities


class RewrittenTable(msgspec.Struct, frozen=True):
    """The users' rows in a table: how many they had, alone or shared, and have; `checksum` of the rows from their events alone.

    From shared rows their part is subtracted. `check` proves that nothing of it is left.
    """

    table: str
    rows_before: int
    rows_after: int
    checksum: str


def rewrite_users(
    warehouse: Warehouse,
    identity: int,
    request: UserRewrite,
    confirm: Callable[[], None],
    serving: Sequence[ServingTable],
) -> list[RewrittenTable]:
    """Erases users, merges them or undoes that, or does half of a move. Only while nothing is stored, and all views have all.

    `identity` is above every seq so far. Raises the error of `confirm` if the lease was lost: then nothing was changed.

    Returns the users' rows in `events`, and for an erasure those in every count table.
    """
    about = msgspec.json.encode(request).decode()
    tables = count_tables(warehouse)
    names = ["events", *(table.name for table in tables)]
    rewrite = mutation_journal.begin(warehouse, identity, request.kind, about, names, confirm)
    context = RewriteContext(warehouse, rewrite, request, tables, frozenset())
    try:
        if request.move:
            carry_out_move(context, serving)
            return []
        return _carry_out(context, serving)
    except BaseException:
        with suppress(AlsoboughtError):
            mutation_journal.abandon(warehouse, rewrite)
        raise


def finish_rewrites(warehouse: Warehouse, serving: Sequence[ServingTable]) -> int:
    """Finishes the rewrites that a crash interrupted, and returns their number."""
    rewrites = mutation_journal.unfinished(warehouse)
    for rewrite in rewrites:
        if rewrite.about:
            blocks = mutation_journal.newest_blocks(warehouse, rewrite.marks)
            done = frozenset(table for table, before in rewrite.marks.items() if blocks[table] > before)
            if rewrite.kind == KIND:
                finish_categories(warehouse, rewrite, done)
                continue
            request = msgspec.json.decode(rewrite.about, type=UserRewrite)
            context = RewriteContext(warehouse, rewrite, request, count_tables(warehouse), done)
            if request.move:
                carry_out_move(context, serving)
            else:
                _carry_out(context, serving)
        else:  # an exchange of tables is atomic
            mutation_journal.finish(warehouse, rewrite)
    return len(rewrites)


def _carry_out(context: RewriteContext, serving: Sequence[ServingTable]) -> list[RewrittenTable]:
    reach("rewrite.begun")
    request = context.request
    if request.kind != "refund":
        record_identities(context)
    reach("rewrite.noted")
    users = _attributes_of(context)
    if request.kind != "refund":
        carry_attributes(context)
    reach("rewrite.users")
    events = _events_of(context)
    if request.into and not events.rows_before and (request.guests or not _named_in_counts(context)):
        context.finish()
        return [events]
    rewritten = [events] if "events" in context.done else _rewrite_tables(context, events, serving)
    if request.kind == "refund":
        _change_events(context)
    else:
        reach("rewrite.moved")
        context.delete("events", context.events_condition)
    reach("rewrite.deleted")
    if request.kind == "forget":
        delete_traces(context)
        rewritten.append(users)
    context.finish()
    reach("rewrite.ended")
    return rewritten


def _rewrite_tables(
    context: RewriteContext, events: RewrittenTable, serving: Sequence[ServingTable]
) -> list[RewrittenTable]:
    """Everything up to the moved events, which come last: from then on, their old rows would count twice."""
    request, tables = context.request, context.tables
    context.copy_events()
    rewritten = [events]
    for table in tables if events.rows_before else [table for table in tables if table.has_user_id]:
        measured = _rows_of(context, table) if request.kind == "forget" else None
        context.heartbeat()
        rewrite_table(context, table)
        if measured:
            rows_after = _owned_rows(context, table) if table.owner else 0
            rewritten.append(msgspec.structs.replace(measured, rows_after=rows_after))
        reach(f"rewrite.{table.name}")
    refresh_serving_tables(context, serving)
    reach("rewrite.serving")
    _move_events(context)
    return rewritten


def _events_of(context: RewriteContext) -> RewrittenTable:
    sql = f"select count(), hex(groupBitXor(cityHash64(event_id, seq))) from {context.database}.events"
    count, checksum = context.warehouse.trusted_rows(f"{sql} where {context.events_condition}").data[0]
    return RewrittenTable("events", int(count), 0, str(checksum))


def _attributes_of(context: RewriteContext) -> RewrittenTable:
    sql = f"select count(), hex(groupBitXor(cityHash64(user_id, attributes))) from {context.database}.users final"
    count, checksum = context.warehouse.trusted_rows(f"{sql} where {context.users_condition('user_id')}").data[0]
    return RewrittenTable("users", int(count), 0, str(checksum))


def _named_in_counts(context: RewriteContext) -> bool:
    """True if a count table names the users: it may have them from events that have expired."""
    condition = context.users_condition("user_id")
    return any(context.has_rows(table.name, condition) for table in context.tables if table.has_user_id)


def _rows_of(context: RewriteContext, table: CountTable) -> RewrittenTable:
    """The rows that the users' events alone make in a table."""
    sql = f"select count(), hex(groupBitXor(cityHash64(*))) from {context.before.result(table)}"
    count, checksum = context.warehouse.trusted_rows(sql).data[0]
    return RewrittenTable(table.name, int(count), 0, str(checksum))


def _owned_rows(context: RewriteContext, table: CountTable) -> int:
    """The number of rows that the users have now in a table whose rows have one owner each."""
    owners = f"select {table.owner} from {context.before.result(table)}"
    sql = f"select count() from {context.database}.{table.name} where {table.owner} in ({owners})"
    return int(context.warehouse.trusted_rows(sql).data[0][0])


def _move_events(context: RewriteContext) -> None:
    """Adds the events under the account's name, past the views.

    A replicated table does not attach a part that is equal to one it had, as after a merge, its undoing and the same merge. So
    a row that is like no other comes along. It is among those that are deleted next.
    """
    if not context.request.into:
        return
    events, moved, rows = f"{context.database}.events", f"{context.after.name}.moved", context.renamed_events()
    create_like(context.warehouse, moved, "events")
    if context.warehouse.replicated:
        unique = f"select * replace (toUInt64({context.identity:d}) as seq) from {events} where {context.events_condition} limit 1"
        rows = f"select * from ({rows} union all {unique})"
    context.insert(moved, rows)
    context.warehouse.command(f"alter table {events} attach partition tuple() from {moved}")


def _change_events(context: RewriteContext) -> None:
    """Stores the events as the refunds make them. Changing two columns leaves the others of a part as they are."""
    if context.request.lines:
        seqs = ", ".join(str(line.seq) for line in context.request.lines)
        changes = ", ".join(f"{column} = {sql}" for column, sql in context.refunded.items())
        condition = f"user_id in ({context.all_users}) and seq in ({seqs})"
        context.warehouse.command(
            f"alter table {context.database}.events update {changes} where {condition} settings mutations_sync = 1"
        )
