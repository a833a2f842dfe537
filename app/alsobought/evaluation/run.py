"""An evaluation from end to end: the questions, who answers them, and the report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from alsobought.errors import AlsoboughtError, Unusable
from alsobought.evaluation.ask import Form, ask, form
from alsobought.evaluation.baselines.registry import BASELINES, Baseline, baseline
from alsobought.evaluation.bootstrap import RESAMPLES
from alsobought.evaluation.replay import Progress, Replayed
from alsobought.evaluation.report import Report, Said, systems
from alsobought.evaluation.tasks import ALSO_BOUGHT, NEXT, Query, queries
from alsobought.learning.context import Context
from alsobought.learning.registry import learn, learners_of
from alsobought.pipes.library import Library, Pipe

DEFAULT_BASELINE = "popularity"
TOGETHER = 512  # questions of a baseline


@dataclass(frozen=True)
class Plan:
    """What to evaluate. An empty `task` is the one that fits the first pipe; no baselines are `popularity` alone; no pipes, none.

    A baseline may be a pipe. `parameters` go to the pipes that take them.
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
    """The report, and what it was made of: the questions, and every list."""

    report: Report
    queries: Sequence[Query]
    said: Sequence[Said]


@dataclass(frozen=True)
class Systems:
    """Who answers, by name in the order of the table: a pipe by its form, or a baseline that has learnt nothing yet."""

    task: str
    against: str
    asked: Mapping[str, Form | Baseline]

    @property
    def pipes(self) -> list[Pipe]:
        return [one.pipe for one in self.asked.values() if isinstance(one, Form)]


def systems_of(plan: Plan, library: Library) -> Systems:
    """Raises Unusable, NoSuchPipe, PipeBroken for whatever cannot be asked."""
    task = plan.task or (_task(library[plan.pipes[0]]) if plan.pipes else NEXT)
    baselines = list(plan.baselines) or [DEFAULT_BASELINE]
    asked: dict[str, Form | Baseline] = {}
    for name in [*plan.pipes, *baselines]:
        if name not in plan.pipes and name in BASELINES:
            asked[name] = baseline(name, task)
        elif name in library.names() or name in plan.pipes:
            asked[name] = form(library[name], task, plan.at, plan.parameters)
        else:
            there = ", ".join([*BASELINES, *library.names()])
            raise Unusable(f"there is no baseline and no pipe called {name!r}", f"There are {there}")
    found = Systems(task, baselines[0], asked)
    known = {parameter.name for pipe in found.pipes for parameter in pipe.parameters}
    if unknown := [name for name in plan.parameters if not any(pipe.accepts(name) for pipe in found.pipes)]:
        there = ", ".join(sorted(known)) or "none"
        raise Unusable(f"no asked pipe has the parameter {unknown[0]}", f"There are {there}")
    return found


def evaluate(plan: Plan, replay: Replayed, data: str, progress: Progress) -> Evaluation:
    """Asks everybody all questions of a task.

    Raises Unusable for what cannot be asked, and what an answer raises.
    """
    found, split = systems_of(plan, replay.shop.library), replay.log.split
    asked = queries(replay.log, found.task, plan.seed, plan.users)
    if not asked:
        raise Unusable(
            f"there is no question of --task {found.task}: nobody bought what it asks for"
            f" in the {split.days} days from {split.train_before:%Y-%m-%d} on",
            "Take an earlier --train-before or more --days",
        )
    learnt = _learn(found.pipes, replay, progress)
    said = [
        _ask(one, replay, asked, progress)
        if isinstance(one, Form)
        else _recommend(name, one, found.task, replay, asked, plan.at, progress)
        for name, one in found.asked.items()
    ]
    report = Report(
        data=data,
        task=found.task,
        train_before=split.train_before,
        days=split.days,
        at=plan.at,
        questions=len(asked),
        people=len({query.user for query in asked}),
        seed=plan.seed,
        resamples=RESAMPLES,
        parameters=plan.parameters,
        learnt=learnt,
        against=found.against,
        systems=systems(said, asked, replay, plan.at, plan.seed, found.against),
    )
    return Evaluation(report, asked, said)


def _task(pipe: Pipe) -> str:
    """For a pipe that must be told an item also-bought, else next."""
    needed = {parameter.name for parameter in pipe.parameters if parameter.required}
    return ALSO_BOUGHT if "item_id" in needed else NEXT


def _learn(pipes: Sequence[Pipe], replay: Replayed, progress: Progress) -> dict[str, str]:
    """What these pipes read, and those they fall back on, and no view fills: of the events before the split.

    Returns what each learner said of it, or why it could not learn: then its tables are empty, as they would be in the shop.
    """
    shop, now = replay.shop, replay.log.split.train_before
    tables = {table for pipe in pipes for one in _chain(pipe, shop.library) for table in one.tables}
    context = Context(shop.warehouse, shop.settings.home_folder, now, progress)
    said = {}
    for learner in learners_of(tables):
        try:
            said[learner.name] = learn(learner.name, context).line
        except Unusable as error:
            said[learner.name] = str(error)
    return said


def _chain(pipe: Pipe, library: Library) -> list[Pipe]:
    """A pipe and those that fill its lists."""
    found = [pipe]
    while (fallback := found[-1].header.fallback) and fallback.pipe not in [one.name for one in found]:
        try:
            found.append(library[fallback.pipe])
        except AlsoboughtError:
            break  # it fills nothing
    return found


def _ask(how: Form, replay: Replayed, asked: Sequence[Query], progress: Progress) -> Said:
    started = time.monotonic()
    questions = len({how.subject(query) for query in asked})
    with progress(f"Asking {how.pipe.name}", questions, "questions") as told:
        found = ask(replay.shop.library, replay.shop.warehouse, how, asked, replay.log.split.train_before, told)
    return Said(how.pipe.name, True, found.lists, found.seconds, found.filled, time.monotonic() - started)


def _recommend(
    name: str, one: Baseline, task: str, replay: Replayed, asked: Sequence[Query], k: int, progress: Progress
) -> Said:
    started = time.monotonic()
    lists: list[list[str]] = []
    one.fit(replay.log.past, replay.items, task)
    with progress(f"Asking {name}", len(asked), "questions") as told:
        for at in range(0, len(asked), TOGETHER):
            part = asked[at : at + TOGETHER]
            lists += one.recommend(part, k)
            told(len(part))
    return Said(name, False, lists, [], 0, time.monotonic() - started)


class Question(msgspec.Struct):
    """A line of what `--save` writes: a question, what would have been right, and the list of everybody."""

    user: str
    shown: str | None
    truth: list[str]
    lists: dict[str, Sequence[str]]


def questions(found: Evaluation) -> list[Question]:
    return [
        Question(
            query.user,
            query.shown or None,
            sorted(query.truth),
            {one.name: one.lists[place] for one in found.said},
        )
        for place, query in enumerate(found.queries)
    ]
