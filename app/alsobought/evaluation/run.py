"""An evaluation from end to end: its queries, the lists of every pipe and baseline, and the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec

from alsobought.errors import AlsoboughtError, Unusable
from alsobought.evaluation.baselines.registry import BASELINES, Baseline, create_baseline
from alsobought.evaluation.bootstrap import RESAMPLES
from alsobought.evaluation.pipe_queries import PipeBinding, bind_pipe, run_queries
from alsobought.evaluation.replay import Progress, Replay
from alsobought.evaluation.report import Report, SystemLists, system_reports
from alsobought.evaluation.tasks import ALSO_BOUGHT, NEXT, Query, task_queries
from alsobought.learning.context import Context
from alsobought.learning.registry import learn, learners_of
from alsobought.pipes.library import Library, Pipe
from alsobought.service.maintenance import finish_serving_tables
from alsobought.storage.serving_tables import serving_tables, with_sources

DEFAULT_BASELINE = "popularity"
BATCH_QUERIES = 512  # of a baseline


@dataclass(frozen=True)
class Plan:
    """What to evaluate. Without a `task`, the one that fits the first pipe; without baselines, `popularity`.

    A baseline may be a pipe. `parameters` are passed to the pipes that have them.
    """

    pipes: Sequence[str]
    task: str = ""
    train_before: datetime | None = None
    days: int = 28
    at: int = 10
    users: int | None = None
    seed: int = 1
    baselines: Sequence[str] = ()
    parameters: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The report, with the queries and all lists behind it."""

    report: Report
    queries: Sequence[Query]
    lists: Sequence[SystemLists]


@dataclass(frozen=True)
class Systems:
    """The pipes and the unfitted baselines by name, in the order of the report. `against` is the baseline of differences."""

    task: str
    against: str
    by_name: Mapping[str, PipeBinding | Baseline]

    @property
    def pipes(self) -> list[Pipe]:
        return [system.pipe for system in self.by_name.values() if isinstance(system, PipeBinding)]


def resolve_systems(plan: Plan, library: Library) -> Systems:
    """Raises Unusable, NoSuchPipe or PipeBroken for a pipe, baseline or parameter that does not fit."""
    task = plan.task or (_default_task(library[plan.pipes[0]]) if plan.pipes else NEXT)
    baselines = list(plan.baselines) or [DEFAULT_BASELINE]
    by_name: dict[str, PipeBinding | Baseline] = {}
    for name in [*plan.pipes, *baselines]:
        if name not in plan.pipes and name in BASELINES:
            by_name[name] = create_baseline(name, task)
        elif name in library.names() or name in plan.pipes:
            by_name[name] = bind_pipe(library[name], task, plan.at, plan.parameters)
        else:
            names = ", ".join([*BASELINES, *library.names()])
            raise Unusable(f"there is no baseline and no pipe called {name!r}", f"There are {names}")
    systems = Systems(task, baselines[0], by_name)
    if unknown := [name for name in plan.parameters if not any(pipe.accepts(name) for pipe in systems.pipes)]:
        names = ", ".join(sorted({parameter.name for pipe in systems.pipes for parameter in pipe.parameters})) or "none"
        raise Unusable(f"no evaluated pipe has the parameter {unknown[0]}", f"There are {names}")
    return systems


def evaluate(plan: Plan, replay: Replay, data: str, progress: Progress) -> Evaluation:
    """Runs all queries of a task on every system.

    Raises Unusable for a plan that does not fit or has no queries, and what a pipe raises.
    """
    systems, split = resolve_systems(plan, replay.service.library), replay.log.split
    queries = task_queries(replay.log, systems.task, plan.seed, plan.users)
    if not queries:
        raise Unusable(
            f"--task {systems.task} has no queries: nobody bought what it requires"
            f" in the {split.days} days from {split.train_before:%Y-%m-%d} on",
            "Use an earlier --train-before or more --days",
        )
    if unavailable := frozenset(name for name, item in replay.items.items() if item.available is False):
        queries = [replace(query, unavailable=unavailable) for query in queries]
    learned = _learn(systems.pipes, replay, progress)
    lists = [
        _run_pipe(system, replay, queries, progress)
        if isinstance(system, PipeBinding)
        else _run_baseline(name, system, systems.task, replay, queries, plan.at, progress)
        for name, system in systems.by_name.items()
    ]
    report = Report(
        data=data,
        task=systems.task,
        train_before=split.train_before,
        days=split.days,
        at=plan.at,
        questions=len(queries),
        users=len({query.user for query in queries}),
        seed=plan.seed,
        resamples=RESAMPLES,
        parameters=plan.parameters,
        learned=learned,
        against=systems.against,
        systems=system_reports(lists, queries, replay, plan.at, plan.seed, systems.against),
    )
    return Evaluation(report, queries, lists)


def _default_task(pipe: Pipe) -> str:
    """also-bought for a pipe that requires an item, else next."""
    required = {parameter.name for parameter in pipe.parameters if parameter.required}
    return ALSO_BOUGHT if "item_id" in required else NEXT


def _learn(pipes: Sequence[Pipe], replay: Replay, progress: Progress) -> dict[str, str]:
    """Learns the tables that these pipes and their fallbacks read, from the events before the split.

    Returns the summary or the error of each learner. After an error its tables are empty, as they would be in the shop.
    """
    service, now = replay.service, replay.log.split.train_before
    tables = {table for pipe in pipes for member in _with_fallbacks(pipe, service.library) for table in member.tables}

    def exchange(table: str, replacement: str) -> None:
        service.do("swap in a learned table", table, replacement)

    context = Context(service.warehouse, service.settings.home_folder, now, progress, exchange)
    summaries = {}
    for learner in learners_of(
        with_sources(tables, serving_tables(service.settings.home_folder, service.warehouse.database))
    ):
        try:
            summaries[learner.name] = learn(learner.name, context).line
        except Unusable as error:
            summaries[learner.name] = str(error)
    finish_serving_tables(service.do, progress)
    return summaries


def _with_fallbacks(pipe: Pipe, library: Library) -> list[Pipe]:
    pipes = [pipe]
    while (fallback := pipes[-1].header.fallback) and fallback.pipe not in [member.name for member in pipes]:
        try:
            pipes.append(library[fallback.pipe])
        except AlsoboughtError:
            break  # a broken fallback fills nothing
    return pipes


def _run_pipe(binding: PipeBinding, replay: Replay, queries: Sequence[Query], progress: Progress) -> SystemLists:
    started = time.monotonic()
    service, distinct = replay.service, len({binding.subject(query) for query in queries})
    with progress(f"Querying {binding.pipe.name}", distinct, "queries") as advance:
        result = run_queries(
            service.library, service.warehouse, binding, queries, replay.log.split.train_before, advance
        )
    seconds = time.monotonic() - started
    return SystemLists(binding.pipe.name, True, result.lists, result.seconds, result.filled, seconds)


def _run_baseline(
    name: str, baseline: Baseline, task: str, replay: Replay, queries: Sequence[Query], k: int, progress: Progress
) -> SystemLists:
    started = time.monotonic()
    lists: list[list[str]] = []
    baseline.fit(replay.log.past, replay.items, task)
    with progress(f"Querying {name}", len(queries), "queries") as advance:
        for start in range(0, len(queries), BATCH_QUERIES):
            batch = queries[start : start + BATCH_QUERIES]
            lists += baseline.recommend(batch, k)
            advance(len(batch))
    return SystemLists(name, False, lists, [], 0, time.monotonic() - started)


class SavedQuery(msgspec.Struct):
    """A line of `--save`: a query, the relevant items, and the list of every system."""

    user: str
    shown: str | None
    truth: list[str]
    lists: dict[str, Sequence[str]]


def saved_queries(evaluation: Evaluation) -> list[SavedQuery]:
    return [
        SavedQuery(
            query.user,
            query.shown or None,
            sorted(query.truth),
            {system.name: system.lists[index] for system in evaluation.lists},
        )
        for index, query in enumerate(evaluation.queries)
    ]
