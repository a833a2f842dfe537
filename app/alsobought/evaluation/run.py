"""An evaluation from end to end: its queries, the lists of every pipe and baseline, and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from alsobought.errors import Unusable
from alsobought.evaluation.baselines.registry import BASELINES, Baseline, create_baseline, is_baseline
from alsobought.evaluation.baskets import PURCHASE
from alsobought.evaluation.bootstrap import RESAMPLES
from alsobought.evaluation.cold_start import cold_slices
from alsobought.evaluation.measuring import Job, measure
from alsobought.evaluation.pipe_queries import PipeBinding, bind_pipe
from alsobought.evaluation.replay import Progress, Replay
from alsobought.evaluation.report import Report, SystemLists, system_reports
from alsobought.evaluation.results import Results
from alsobought.evaluation.tasks import ALSO_BOUGHT, NEXT, Query, task_queries
from alsobought.pipes.library import Library, Pipe

DEFAULT_BASELINE = "popularity"


@dataclass(frozen=True)
class Plan:
    """What to evaluate. Without a `task`, the one that fits the first pipe; without baselines, `popularity`.

    A baseline may be a pipe. `parameters` are passed to the pipes that have them. `event_type` is that of the events to predict;
    `cold` adds slices by the number of events of users or items.
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
    event_type: str = PURCHASE
    cold: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The report, with the queries and all lists behind it."""

    report: Report
    queries: Sequence[Query]
    lists: Sequence[SystemLists]


@dataclass(frozen=True)
class Systems:
    """The pipes and the unfitted baselines by name, in the order of the report."""

    task: str
    baselines: Sequence[str]
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
        if name not in plan.pipes and is_baseline(name):
            by_name[name] = create_baseline(name, task)
        elif name in library.names() or name in plan.pipes:
            by_name[name] = bind_pipe(library[name], task, plan.at, plan.parameters, plan.event_type)
        else:
            names = ", ".join([*BASELINES, *library.names()])
            raise Unusable(f"there is no baseline and no pipe called {name!r}", f"There are {names}")
    systems = Systems(task, [name for name in baselines if name not in plan.pipes], by_name)
    if unknown := [name for name in plan.parameters if not any(pipe.accepts(name) for pipe in systems.pipes)]:
        names = ", ".join(sorted({parameter.name for pipe in systems.pipes for parameter in pipe.parameters})) or "none"
        raise Unusable(f"no evaluated pipe has the parameter {unknown[0]}", f"There are {names}")
    return systems


def evaluate(plan: Plan, replay: Replay, data: str, progress: Progress, results: Results | None = None) -> Evaluation:
    """Runs all queries of a task on every system. A system that fails does not take the others' results with it.

    Raises Unusable for a plan that does not fit or has no queries, or if no system can be measured.
    """
    systems, split = resolve_systems(plan, replay.service.library), replay.log.split
    queries = task_queries(replay.log, systems.task, plan.seed, plan.users)
    if not queries:
        raise _no_queries(replay, systems.task)
    if unavailable := frozenset(name for name, item in replay.items.items() if item.available is False):
        queries = [replace(query, unavailable=unavailable) for query in queries]
    measured = measure(Job(replay, queries, systems.task, plan.at, progress), systems.by_name, results or Results())
    if not measured.lists:
        name, reason = next(iter({**measured.failed, **measured.skipped}.items()))
        raise Unusable(f"nothing could be measured: {name}: {reason}")
    lists = list(measured.lists.values())
    baselines = [name for name in systems.baselines if name in measured.lists]
    by_name = {system.name: system.lists for system in lists}
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
        learned=measured.learned,
        against=baselines[0] if baselines else "",
        systems=system_reports(lists, queries, replay, plan.at, plan.seed, baselines),
        event_type=plan.event_type,
        skipped=measured.skipped,
        failed=measured.failed,
        cold=plan.cold,
        slices=cold_slices(plan.cold, by_name, queries, replay.log.past, systems.task, plan.at, plan.seed)
        if plan.cold
        else (),
    )
    return Evaluation(report, queries, lists)


def _no_queries(replay: Replay, task: str) -> Unusable:
    event_type, types, split = replay.log.event_type, replay.log.types, replay.log.split
    if event_type not in types:
        return Unusable(
            f"there are no events of type {event_type!r} before {split.end:%Y-%m-%d}",
            f"There are {', '.join(sorted(types))}: name one with --event-type",
        )
    did = (
        "bought what it requires" if event_type == PURCHASE else f"has the events of type {event_type} that it requires"
    )
    return Unusable(
        f"--task {task} has no queries: nobody {did} in the {split.days} days from {split.train_before:%Y-%m-%d} on",
        "Use an earlier --train-before or more --days",
    )


def _default_task(pipe: Pipe) -> str:
    """also-bought for a pipe that requires an item, else next."""
    required = {parameter.name for parameter in pipe.parameters if parameter.required}
    return ALSO_BOUGHT if "item_id" in required else NEXT
