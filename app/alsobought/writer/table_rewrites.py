"""How an erasure, a merge, its undoing or a refund rewrites a count table: one strategy per kind of table.

After it, the table is as if the users had never existed, had always been the account or had never been, or had not bought what was
refunded.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from alsobought.storage.count_tables import CountTable
from alsobought.storage.serving_tables import ServingTable, with_keys, with_sources
from alsobought.storage.sql_text import quoted
from alsobought.writer.rewrite_context import RewriteContext

EXCEEDS = {
    "sum": "sumIf({0}, stored) > sumIf({0}, not stored)",
    "min": "minIf({0}, stored) < minIf({0}, not stored)",
    "max": "maxIf({0}, stored) > maxIf({0}, not stored)",
}
CHANGE = {
    "sum": "sum(row.{0} * row.sign)",
    "min": "minIf(row.{0}, row.sign = 0)",
    "max": "maxIf(row.{0}, row.sign = 0)",
    "any": "any(row.{0})",
}
KEYS_PER_DELETE = 10_000
KEYS_PER_REFRESH = 500


Strategy = Callable[[RewriteContext, CountTable], None]


def rewrite_table(context: RewriteContext, table: CountTable) -> None:
    kind = context.request.kind
    strategy = strategy_of_move(table, kind) if context.request.move else strategy_of(table, kind)
    strategy(context, table)


def strategy_of(table: CountTable, kind: str) -> Strategy:
    if kind == "unmerge" and (table.has_user_id or (table.owner and not table.is_summing)):
        return split_rows
    if kind == "refund" and not table.is_summing and (table.has_user_id or table.owner):
        return split_rows
    if table.has_user_id and kind != "refund":
        return rename_rows
    if table.is_summing:
        return add_difference
    if table.owner:
        return replace_owned_rows
    return recompute_shared_rows


def strategy_of_move(table: CountTable, kind: str) -> Strategy:
    """For the halves of a move, "adopt" and "leave"."""
    adopts = kind == "adopt"
    if table.has_user_id or (table.owner and not table.is_summing):
        return insert_staged_rows if adopts else leave_rows
    if table.is_summing:
        return add_difference
    return add_shared_rows if adopts else recompute_shared_rows


def insert_staged_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows of one user, who moves here: as the other warehouse had them, with the part of events that have expired."""
    context.insert_once(table, f"select {table.columns} from {context.staged(table.name)}")


def leave_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows of users who moved away are deleted; what events since then gave them remains."""
    if context.has_rows("events", f"{context.users_condition('user_id')} and seq >= {context.request.move:d}"):
        split_rows(context, table)
    elif table.has_user_id:
        context.delete(table.name, context.users_condition("user_id"))
    else:
        owners = f"select distinct {table.owner} from {context.before.result(table)}"
        _delete_keys(context, table, (table.owner,), owners)


def add_shared_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows that several users share, of which some move here: those that merge are added, others replaced by a newer version."""
    if table.name in context.done:
        return
    keys, given = ", ".join(table.keys), f"select {table.columns} from {context.after.result(table)}"
    if "any" not in table.values.values():
        context.insert_once(table, _merging_difference(context, table))
        return
    stored = f"select {table.columns} from {context.database}.{table.name} final where ({keys}) in (select {keys} from ({given}))"
    fresh = f"{given} where ({keys}) not in (select {keys} from ({stored}))"
    changed = f"select {keys} from ({given} except {stored}) where ({keys}) in (select {keys} from ({stored}))"
    expired = context.request.horizon and "batch" not in table.keys
    if expired or not context.warehouse.trusted_rows(f"{changed} limit 1").data:
        context.insert_once(table, fresh)
        return
    others = f"select * from {context.database}.events where user_id not in ({context.all_users})"
    recomputed = table.over(f"({others} union all select * from {context.after.name}.events)", context.after.name)
    newer = f"select {table.columns} from ({recomputed}) where ({keys}) in ({changed})"
    context.insert_once(table, f"select * from ({fresh} union all {newer})")


def _merging_difference(context: RewriteContext, table: CountTable) -> str:
    """A SELECT of rows that merge with those of the table: what is new in sums, and the extremes of all."""
    keys = ", ".join(table.keys)
    signed = " union all ".join(
        f"select {table.columns}, {sign} as sign from {side.result(table)}"
        for side, sign in ((context.after, 1), (context.before, -1))
    )
    values = "".join(
        f", {'sum' if how == 'sum' else how + 'If'}(row.{value}{' * row.sign' if how == 'sum' else ', row.sign = 1'}) as {value}"
        for value, how in table.values.items()
    )
    return f"select {keys}{values} from ({signed}) as row group by {keys} having countIf(sign = 1) > 0"


def rename_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows with a user_id: copied under the account's name, then deleted."""
    if context.request.into:
        context.insert_once(table, f"select {table.columns} from ({context.renamed_rows(table.name)})")
    context.delete(table.name, context.users_condition("user_id"))


def split_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows of one user, of which a part becomes another's or is taken back: those that change are replaced.

    A row to which events that have expired added something keeps that: only what the others added to its sums is subtracted.
    """
    if table.name in context.done:
        return
    before, after = (f"select {table.columns} from {side.result(table)}" for side in (context.before, context.after))
    keys = ", ".join(table.keys)
    changed = f"select distinct {keys} from (({before} except {after}) union all ({after} except {before}))"
    if not context.request.horizon:
        _delete_keys(context, table, table.keys, changed)
        context.insert_once(table, f"{after} where ({keys}) in ({changed})")
        return
    exceeding = _keys_with_expired_events(context, table)
    replaced = f"({keys}) in ({changed}) and ({keys}) not in ({exceeding})"
    _delete_keys(context, table, table.keys, f"select distinct {keys} from ({before}) where {replaced}")
    subtracted = _subtracted_sums(context, table, f"({keys}) in ({changed}) and ({keys}) in ({exceeding})")
    context.insert_once(table, f"select * from ({after} where {replaced} union all {subtracted})")


def _keys_with_expired_events(context: RewriteContext, table: CountTable) -> str:
    """A SELECT of the users' keys whose row exceeds what the remaining events give. One that a crash left half deleted does not."""
    keys, before = ", ".join(table.keys), context.before.result(table)
    conditions = [EXCEEDS[how].format(value) for value, how in table.values.items() if how in EXCEEDS]
    rows = f"select {table.columns}, true as stored from {context.database}.{table.name}"
    rows += f" where ({keys}) in (select {keys} from {before})"
    both = f"{rows} union all select {table.columns}, false as stored from {before}"
    exceeds_events = " or ".join(conditions) or "false"
    return f"select {keys} from ({both}) group by {keys} having countIf(stored) > 0 and ({exceeds_events})"


def _subtracted_sums(context: RewriteContext, table: CountTable, condition: str) -> str:
    """A SELECT of rows that change the sums of rows in the table, and leave their extremes."""
    keys, hows = ", ".join(table.keys), set(table.values.values())
    stored = f"select {table.columns}, 0 as sign from {context.database}.{table.name} where {condition}"
    signed = [
        f"select {table.columns}, {sign} as sign from {side.result(table)} where {condition}"
        for side, sign in ((context.after, 1), (context.before, -1))
    ]
    values = ", ".join(f"{CHANGE[how].format(value)} as {value}" for value, how in table.values.items())
    rows = " union all ".join([stored, *signed])
    nothing = "" if "sum" in hows and "any" not in hows else " limit 0"
    return f"(select {keys}, {values} from ({rows}) as row group by {keys}{nothing})"


def add_difference(context: RewriteContext, table: CountTable) -> None:
    """Signed counts: the counts of the events as they will be are added, those of the events as they were subtracted."""
    before, after = (f"select * from {side.result(table)}" for side in (context.before, context.after))
    context.insert_once(table, difference(table, before, after))


def difference(table: CountTable, before: str, after: str) -> str:
    """A SELECT of what turns the signed counts of one SELECT into those of another."""
    keys = ", ".join(table.keys)
    negated = ", ".join(f"-{value} as {value}" for value in table.values)
    both = f"select {table.columns} from ({after}) union all select {keys}, {negated} from ({before})"
    sums = ", ".join(f"sum(one.{value}) as {value}" for value in table.values)
    changed = " or ".join(f"{value} != 0" for value in table.values)
    return f"select {keys}, {sums} from ({both}) as one group by {keys} having {changed}"


def replace_owned_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows of one owner each: those of the account are added, those of owners that no longer exist are deleted."""
    owner, before, after = table.owner, context.before.result(table), context.after.result(table)
    context.insert_once(table, f"select * from {after}")
    gone = f"select {owner} from {before} except select {owner} from {after}"
    _delete_keys(context, table, (owner,), f"select distinct {owner} from ({gone})")


def recompute_shared_rows(context: RewriteContext, table: CountTable) -> None:
    """Rows that several users share and that cannot be subtracted from: each is recomputed from the remaining events.

    Where events have expired, only rows with a batch in their key: others may stand for expired events.
    """
    expired = context.request.horizon and "batch" not in table.keys
    if table.name in context.done or _same_result(context, table) or expired:
        return
    keys = ", ".join(table.keys)
    affected = f"select distinct {keys} from {context.before.result(table)}"
    _delete_keys(context, table, table.keys, affected)
    others = f"select * from {context.database}.events where user_id not in ({context.all_users})"
    recomputed = table.over(f"({others} union all select * from {context.after.name}.events)", context.after.name)
    context.insert_once(table, f"select {table.columns} from ({recomputed}) where ({keys}) in ({affected})")


def refresh_serving_tables(context: RewriteContext, tables: Sequence[ServingTable]) -> None:
    """Makes the rows of the users, and of the items whose counts changed, from the counts as they are now; deletes those that have
    none.
    """
    read = with_sources([table.name for table in tables], tables)
    items = _items_of_changed_rows(context, [table for table in context.tables if table.name in read])
    for table in tables:
        keys: Sequence[str | int] = context.request.all_users if table.key == "user_id" else items
        for start in range(0, len(keys), KEYS_PER_REFRESH):
            table.make(context.warehouse, with_keys(keys[start : start + KEYS_PER_REFRESH]), clear=True)


def _items_of_changed_rows(context: RewriteContext, tables: Sequence[CountTable]) -> list[int]:
    """The items in rows of these tables that differ between before and after."""
    items: set[int] = set()
    for table in tables:
        if columns := [key for key in table.keys if key.endswith("item_key")]:
            before, after = (f"select * from {scratch.result(table)}" for scratch in (context.before, context.after))
            changed = f"({before} except {after}) union all ({after} except {before})"
            sql = f"select distinct arrayJoin([{', '.join(columns)}]) from ({changed})"
            items.update(int(key) for (key,) in context.warehouse.trusted_rows(sql).data)
    return sorted(items)


def _same_result(context: RewriteContext, table: CountTable) -> bool:
    """True if a merge or a refund does not change the rows."""
    if context.request.kind == "forget":
        return False
    before, after = (f"select * from {scratch.result(table)}" for scratch in (context.before, context.after))
    sql = f"select count() from (({before} except {after}) union all ({after} except {before}))"
    return not context.warehouse.trusted_rows(sql).data[0][0]


def _delete_keys(context: RewriteContext, table: CountTable, keys: Sequence[str], select: str) -> None:
    """Deletes by literal keys: a delete that a crash interrupts resumes by itself, when the scratch tables are gone."""
    rows = iter(context.warehouse.trusted_rows(select).data)
    while chunk := list(itertools.islice(rows, KEYS_PER_DELETE)):
        literals = ", ".join(f"({', '.join(map(_literal, row))})" for row in chunk)
        context.delete(table.name, f"({', '.join(keys)}) in ({literals})")


def _literal(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else str(value)
