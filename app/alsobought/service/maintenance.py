"""What the writer does for a command or a request between two batches, by name: here, or in the process that holds the folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alsobought.counts import rebuild, snapshot
from alsobought.learning import table_swap
from alsobought.privacy import erasure
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.writer import Writer

TASKS: dict[str, Callable[..., Any]] = {
    "forget": erasure.forget,
    "merge": erasure.merge,
    "freeze": snapshot.freeze,
    "plan a rebuild": rebuild.plan,
    "begin a rebuild": rebuild.begin,
    "end a rebuild": rebuild.exchange,
    "exchange a learned table": table_swap.exchange_and_invalidate,
}


def do(writer: Writer, name: str, *arguments: Any) -> Any:
    """What the task returns: numbers, texts, lists and mappings. Raises what it raises, NotStored if the writer has stopped."""
    return writer.run(MaintenanceTask(lambda: TASKS[name](writer, *arguments), exclusive=True)).result()
