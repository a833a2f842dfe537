"""Run the queries of requests: few at a time, joint ones for requests in flight together, and learn what pipes cost."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from alsobought import tracing
from alsobought.pipes.pipe import SEPARATOR, Pipe
from alsobought.serving.answers import rows_of
from alsobought.serving.coalescing import Coalescer
from alsobought.serving.costs import PipeCosts
from alsobought.serving.query_slots import QuerySlots
from alsobought.serving.refresher import in_background
from alsobought.storage.results import Rows
from alsobought.storage.warehouse import Reader

EMBEDDED_QUERIES = os.cpu_count() or 1  # at the same time
SERVER_QUERIES = 16


class Queries:
    """Thread-safe. Queries of heavy pipes have slots of their own, so that no others wait for them."""

    def __init__(self, warehouse: Reader, clock: Callable[[], datetime], at_once: int = EMBEDDED_QUERIES) -> None:
        self._warehouse, self._clock = warehouse, clock
        self._slots, self._heavy_slots = QuerySlots(at_once), QuerySlots(at_once)
        self._coalescer = Coalescer(self._slots)
        self.costs = PipeCosts()

    def rows(self, pipe: Pipe, bound: Mapping[str, Any], requested: Pipe) -> Rows:
        """The rows of a pipe itself, in the list of the `requested` one. Raises TooSlow, WarehouseFault."""
        shared_by, together = pipe.shared_by, bool(pipe.header.together)
        if not shared_by:
            with self._slot_for(pipe, requested):
                return self._run(pipe, bound, requested)

        def run(keys: Sequence[str]) -> Rows:
            values = [key.split(SEPARATOR) for key in keys] if together else list(keys)
            return self._run(pipe, {**bound, shared_by: values}, requested)

        keys = pipe.values_of_query(bound)[shared_by]
        others = repr({name: value for name, value in bound.items() if name != shared_by})
        group = (requested.name, pipe.name, pipe.version, others)
        return self._coalescer.rows(group, keys, shared_by, run, pipe=requested.name, background=in_background())

    @property
    def load(self) -> tuple[int, int]:
        """How many queries run, and how many wait for a slot."""
        (running, waiting), (heavy_running, heavy_waiting) = self._slots.load, self._heavy_slots.load
        return running + heavy_running, waiting + heavy_waiting

    def reserve(self) -> AbstractContextManager[None]:
        """For what runs beside the queries of requests and must not wait for them."""
        return self._slots.reserved()

    def _slot_for(self, pipe: Pipe, requested: Pipe) -> AbstractContextManager[None]:
        """Few threads run heavy pipes (`web.lanes`), but a pipe may turn out to be heavy while many of its requests wait."""
        slots = self._heavy_slots if self.costs.is_heavy(pipe.name) else self._slots
        return slots.taken(requested.name, background=in_background())

    def _run(self, pipe: Pipe, bound: Mapping[str, Any], requested: Pipe) -> Rows:
        with tracing.span("query", client=True, db__system__name="clickhouse", pipe=pipe.name) as span:
            rows = rows_of(self._warehouse, self._clock(), pipe, bound, requested)
            tracing.note(span, rows=len(rows.data), rows_read=rows.statistics.rows_read)
        self.costs.add(pipe.name, rows.statistics)
        return rows
