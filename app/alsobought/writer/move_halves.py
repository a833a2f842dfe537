"""The two halves of a move of users between two warehouses (`writer.user_move`): one adopts them, from the other they leave.

Each half is a rewrite of its own warehouse (`writer.user_rewrite`), which the next writer there finishes after a crash. Counts are
signed sums or have one owner, so that a move changes no sum over both warehouses.
"""

from __future__ import annotations

from collections.abc import Sequence

from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.serving_tables import ServingTable
from alsobought.storage.sql_text import quoted, time_text
from alsobought.writer.rewrite_context import RewriteContext, quoted_list
from alsobought.writer.staging import RECORDS, drop_stage, moved_tables
from alsobought.writer.table_rewrites import refresh_serving_tables, rewrite_table

ADOPTED = "adopted"
"""The kind of the entry in the target's journal, under the number of the move, that this half is done."""


def carry_out_move(context: RewriteContext, serving: Sequence[ServingTable]) -> None:
    if context.request.adopts:
        _adopt(context, serving)
    else:
        _leave(context, serving)


def _adopt(context: RewriteContext, serving: Sequence[ServingTable]) -> None:
    """Adds what the users' staged events change in every table, and last the events, past the views."""
    reach("adopt.begun")
    for table in RECORDS:
        context.insert(f"{context.database}.{table}", f"select * from {context.staged(table)}")
    reach("adopt.noted")
    if "events" not in context.done:
        _rewrite_tables(context, serving, "adopt")
        if context.counts(context.staged("events")):
            context.warehouse.command(
                f"alter table {context.database}.events attach partition tuple() from {context.staged('events')}"
            )
    reach("adopt.attached")
    mutation_journal.record_done(context.warehouse, context.request.move, ADOPTED, {})
    reach("adopt.recorded")
    context.finish()
    drop_stage(context.warehouse)
    reach("adopt.ended")


def _leave(context: RewriteContext, serving: Sequence[ServingTable]) -> None:
    """Subtracts the users' events from every table, and deletes them last, since everything else is computed from them."""
    reach("leave.begun")
    _rewrite_tables(context, serving, "leave")
    _delete_records(context)
    reach("leave.noted")
    context.delete("events", context.events_condition)
    reach("leave.deleted")
    context.finish()
    reach("leave.ended")


def _rewrite_tables(context: RewriteContext, serving: Sequence[ServingTable], half: str) -> None:
    """Shared counts come first: while they are added to, the histories that they continue are as before."""
    context.copy_events()
    moved = {table.name for table in moved_tables(context.tables)}
    for table in sorted(context.tables, key=lambda table: table.name in moved):
        context.heartbeat()
        rewrite_table(context, table)
        reach(f"{half}.{table.name}")
    refresh_serving_tables(context, serving)
    reach(f"{half}.serving")


def _delete_records(context: RewriteContext) -> None:
    """Deletes the users' attributes, those of their guests, and their merges, as they were when the move began."""
    of_users = context.users_condition("user_id")
    sql = f"select guest_id from {context.database}.user_merges final where {of_users}"
    guests = [str(guest) for (guest,) in context.warehouse.trusted_rows(sql).data]
    everyone = quoted_list([*context.request.users, *guests])
    context.delete("users", f"user_id in ({everyone}) and version < {context.request.move:d}")
    context.delete("user_merges", f"{of_users} and merged_at <= {quoted(time_text(context.request.at))}")
