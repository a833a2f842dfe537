"""Maintenance tasks by name, which the writer runs between two batches.

Their names also serve as an interface for IPC clients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alsobought.counts import rebuild_tasks, snapshot
from alsobought.learning import table_swap
from alsobought.privacy import erasure
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.writer import Writer

TASKS: dict[str, Callable[..., Any]] = {
    "forget": erasure.forget,
    "merge": erasure.merge,
    "snapshot": snapshot.snapshot,
    "plan a rebuild": rebuild_tasks.plan,
    "begin a rebuild": rebuild_tasks.begin,
    "end a rebuild": rebuild_tasks.exchange,
    "swap in a learned table": table_swap.exchange_and_invalidate,
}


def run_task(writer: Writer, name: str, *arguments: Any) -> Any:
    """Run a task and return its result, which consists of JSON types so that IPC can carry it.

    Raises what the task raises, and NotStored if the writer has stopped.
    """
    return writer.run(MaintenanceTask(lambda: TASKS[name](writer, *arguments), exclusive=True)).result()
