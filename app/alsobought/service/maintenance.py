"""Maintenance tasks by name, which the writer runs between two batches.

Their names also serve as an interface for IPC clients.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from alsobought.backup import pin, repair, server
from alsobought.counts import rebuild_tasks, serving_checks, snapshot
from alsobought.learning import table_swap
from alsobought.privacy import across_shards, erasure, guests, merging
from alsobought.storage.topology import require_one_warehouse
from alsobought.writer.sharded import AnyWriter, ShardedWriter
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.user_move import together
from alsobought.writer.writer import Writer

STEP_SECONDS = 0.5
Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]


def finish_refunds(writer: Writer) -> int:
    """Takes back what stored refunds say, now, and returns the number of lines that changed."""
    changed = 0
    while writer.corrections.refunds.users:
        changed += writer.corrections.apply_refunds()
    return changed


TASKS: dict[str, Callable[..., Any]] = {
    "forget": erasure.forget,
    "forget again": erasure.forget_again,
    "merge": merging.merge,
    "merge guests": guests.merge_guests,
    "unmerge": merging.unmerge,
    "apply refunds": finish_refunds,
    "add categories": lambda writer: writer.corrections.add_categories(),
    "snapshot": snapshot.snapshot,
    "pin for a backup": pin.pin,
    "begin a server backup": server.begin,
    "put back a part": repair.exchange_part,
    "plan a rebuild": rebuild_tasks.plan,
    "begin a rebuild": rebuild_tasks.begin,
    "end a rebuild": rebuild_tasks.exchange,
    "make serving tables": rebuild_tasks.make_serving_tables,
    "refresh serving tables": rebuild_tasks.refresh_serving_tables,
    "compare serving rows": serving_checks.compare_again,
    "swap in a learned table": lambda writer, *names: table_swap.exchange_and_invalidate([writer], *names),
}


def finish_serving_tables(do: Callable[..., Any], bar: Bar) -> None:
    """Applies refunds and makes the rows of serving tables that are left, with a progress bar if there is much to do."""
    do("apply refunds")
    if pending := do("refresh serving tables", STEP_SECONDS):
        with bar("Making serving tables", pending, "steps") as advance:
            while pending:
                left = do("refresh serving tables", STEP_SECONDS)
                advance(pending - left)
                pending = left


def _on_each(name: str) -> Callable[..., int | None]:
    """A task that each shard does with its own rows; its result is the sum of theirs."""

    def run(writer: ShardedWriter, *arguments: Any) -> int | None:
        results = [run_task(one, name, *arguments) for one in writer.writers]
        return None if None in results else sum(results)

    return run


def _across(action: Callable[..., Any]) -> Callable[..., Any]:
    """A task that moves or erases rows of several shards."""
    return lambda writer, *arguments: action(writer.writers, writer.shard_of_account, *arguments)


def _swap_in(writer: ShardedWriter, table: str, replacement: str) -> None:
    together(writer.writers, lambda: table_swap.exchange_and_invalidate(writer.writers, table, replacement))


CLUSTER_TASKS: dict[str, Callable[..., Any]] = {
    "forget": _across(across_shards.forget_across),
    "merge": _across(across_shards.merge_across),
    "merge guests": guests.merge_guests,
    "unmerge": _across(across_shards.unmerge_across),
    "swap in a learned table": _swap_in,
    **{
        name: _on_each(name)
        for name in ("apply refunds", "add categories", "make serving tables", "refresh serving tables")
    },
}
"""What can be done for all shards of a cluster at once. The other tasks are those of one shard (`storage.topology.each_shard`)."""


def run_task(writer: AnyWriter, name: str, *arguments: Any) -> Any:
    """Run a task and return its result, which consists of JSON types so that IPC can carry it.

    Raises what the task raises, and NotStored if the writer has stopped.
    """
    tasks = TASKS if isinstance(writer, Writer) else CLUSTER_TASKS
    if name not in tasks:
        require_one_warehouse(writer.settings)
    return writer.run(MaintenanceTask(lambda: tasks[name](writer, *arguments), exclusive=True)).result()
