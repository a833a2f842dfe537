"""Run the queries of a task on a pipe, with the clock at the split.

Equal queries are executed once. Queries of a pipe with a key are batched, as the service does. Items that a task
forbids are removed here only if the pipe has no parameter to exclude them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alsobought.errors import Unusable
from alsobought.evaluation.baskets import PURCHASE
from alsobought.evaluation.tasks import ALSO_BOUGHT, NEXT, NOVEL, SHOWN_TASKS, Query
from alsobought.pipes.fallbacks import ITEM_COLUMNS
from alsobought.pipes.library import SOURCE, Library, Pipe
from alsobought.serving.answer import Answer
from alsobought.serving.answers import answer
from alsobought.storage.warehouse import Warehouse

BATCH_KEYS = 64
TIMED_QUERIES = 100  # the first ones are executed one at a time, to measure the time of a single query
USER, ITEM, LIMIT = "user_id", "item_id", "limit"
HISTORY = ("exclude_history", "leave_out")  # names of the parameter; leave_out in pipes of older projects
SEEN_TYPES = ("view", "click", "add_to_cart")  # what its value `seen` excludes besides purchases
Subject = tuple[str, ...]
"""The values of the parameter that differs from query to query."""


@dataclass
class PipeLists:
    """The lists of a pipe, one per query, and the seconds of each query that was executed alone.

    `filled` is the number of lists with rows of another pipe.
    """

    lists: list[list[str]]
    seconds: list[float] = field(default_factory=list)
    filled: int = 0


@dataclass(frozen=True)
class PipeBinding:
    """The parameters of a pipe for a task. `subject_parameter` differs from query to query; "" if none does.

    With `whole_session` it takes all known items of a session, else the latest.
    """

    pipe: Pipe
    subject_parameter: str
    whole_session: bool
    parameters: Mapping[str, list[Any]]
    length: int
    max_limit: int | None

    @property
    def batched(self) -> bool:
        return bool(self.subject_parameter) and self.pipe.header.key == self.subject_parameter

    def subject(self, query: Query) -> Subject:
        if self.subject_parameter == USER:
            return (query.user,)
        if self.subject_parameter == ITEM:
            return (*query.before, query.shown) if self.whole_session else (query.shown,)
        return ()


def bind_pipe(
    pipe: Pipe, task: str, k: int, parameters: Mapping[str, Sequence[Any]], event_type: str = PURCHASE
) -> PipeBinding:
    """Raises Unusable for a pipe that does not fit the task."""
    declared = {parameter.name: parameter for parameter in pipe.parameters}
    subject = ITEM if task in SHOWN_TASKS else USER
    other = USER if subject == ITEM else ITEM
    if other in declared and declared[other].required and other not in parameters:
        better = NEXT if subject == ITEM else ALSO_BOUGHT
        raise Unusable(
            f"the pipe {pipe.name} requires {other}, which queries of --task {task} do not have",
            f"Use --task {better}, or --set {other}=…",
        )
    if not any(name in ITEM_COLUMNS for name, _ in pipe.columns):
        raise Unusable(f"the pipe {pipe.name} returns no items: it has no column {' or '.join(ITEM_COLUMNS)}")
    current = {former: name for name, parameter in declared.items() for former in parameter.former_names}
    bound = {current.get(name, name): list(values) for name, values in parameters.items() if pipe.accepts(name)}
    history = next((name for name in HISTORY if name in declared), "")
    if history and task not in SHOWN_TASKS:
        bound.setdefault(history, [_excluded(declared[history].choices, task, event_type)])
    max_limit = None
    if LIMIT in declared:
        max_limit = declared[LIMIT].bounds()[1]
        bound.setdefault(LIMIT, [min(k, max_limit)])
        max_limit = None if LIMIT in parameters else max_limit
    subject_parameter = subject if subject in declared and subject not in parameters else ""
    repeated = bool(subject_parameter) and declared[subject_parameter].repeated
    return PipeBinding(pipe, subject_parameter, repeated and pipe.header.key != subject_parameter, bound, k, max_limit)


def _excluded(choices: Sequence[str], task: str, event_type: str) -> str:
    """The value of exclude_history: the narrowest part that covers what the task forbids."""
    if task != NOVEL:
        return "nothing"
    return "seen" if event_type in SEEN_TYPES and "seen" in choices else "bought"


def run_queries(
    library: Library,
    warehouse: Warehouse,
    binding: PipeBinding,
    queries: Sequence[Query],
    now: datetime,
    advance: Callable[[int], object],
) -> PipeLists:
    """The lists of a pipe. Calls `advance` with the number of distinct queries that were executed.

    Raises what `answer` raises.
    """
    executor = _Executor(library, warehouse, binding, now)
    subjects = list(dict.fromkeys(binding.subject(query) for query in queries))
    first, rest = (subjects[:TIMED_QUERIES], subjects[TIMED_QUERIES:]) if binding.batched else (subjects, [])
    for subject in first:
        started = time.perf_counter()
        executor.execute([subject], {})
        executor.seconds.append(time.perf_counter() - started)
        advance(1)
    for start in range(0, len(rest), BATCH_KEYS):
        batch = rest[start : start + BATCH_KEYS]
        executor.execute(batch, {})
        advance(len(batch))
    lists = [executor.list_of(query) for query in queries]
    filled = sum(binding.subject(query) in executor.filled for query in queries)
    return PipeLists(lists, executor.seconds, filled)


class _Executor:
    def __init__(self, library: Library, warehouse: Warehouse, binding: PipeBinding, now: datetime) -> None:
        self.library, self.warehouse, self.binding, self.now = library, warehouse, binding, now
        self.items: dict[Subject, list[str]] = {}
        self.more_items: dict[Subject, list[str]] = {}
        self.filled: set[Subject] = set()
        self.seconds: list[float] = []

    def execute(self, subjects: Sequence[Subject], overrides: Mapping[str, list[Any]]) -> None:
        """Sets `items` of these subjects, or `more_items` with overrides."""
        binding, target = self.binding, self.more_items if overrides else self.items
        values = [value for subject in subjects for value in subject]
        parameters = {**binding.parameters, **overrides}
        if binding.subject_parameter:
            parameters[binding.subject_parameter] = values
        result = answer(self.library, self.warehouse, binding.pipe.name, parameters, self.now)
        target.update({subject: [] for subject in subjects})
        for key, item, filled in _rows(result, binding.subject_parameter if binding.batched else ""):
            owner = (key,) if binding.batched else subjects[0]
            target[owner].append(item)
            if filled:
                self.filled.add(owner)

    def list_of(self, query: Query) -> list[str]:
        """The allowed items; a longer result is fetched if the task forbids some of them."""
        subject, binding = self.binding.subject(query), self.binding
        items = self.items[subject]
        allowed = [item for item in items if item not in query.forbidden]
        if len(allowed) < len(items) and len(allowed) < binding.length and binding.max_limit:
            if subject not in self.more_items:
                limit = min(binding.max_limit, binding.length + len(query.forbidden))
                self.execute([subject], {LIMIT: [limit]})
            allowed = [item for item in self.more_items[subject] if item not in query.forbidden]
        return allowed[: binding.length]


def _rows(result: Answer, key: str) -> list[tuple[str, str, bool]]:
    """For each row the value of the key, the item, and whether another pipe filled it in."""
    names = [column.name for column in result.meta]
    item_column = next(names.index(name) for name in ITEM_COLUMNS if name in names)
    key_column = names.index(key) if key else None
    source_column = names.index(SOURCE) if result.pipe.adds_source else None
    return [
        (
            str(row[key_column]) if key_column is not None else "",
            str(row[item_column]),
            source_column is not None and row[source_column] != result.pipe.name,
        )
        for row in result.data
        if row[item_column] is not None
    ]
