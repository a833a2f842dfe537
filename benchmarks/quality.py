"""Measure our pipes beside every baseline on public and generated data sets, and compare them with their floors: `make quality`.

    .venv/bin/python -m benchmarks.quality                          every data set; hours on two cores, most of them for the journey
    .venv/bin/python -m benchmarks.quality --only movielens-100k    one of them; repeatable
    .venv/bin/python -m benchmarks.quality --page                   only the page, from the results in benchmarks/quality/

What is measured is in tests/quality/: a file has a pipe, a data set, a task and a floor, and becomes a row beside all baselines
for the task. A result is saved as soon as it is there, and docs/explanation/quality-table.md is written again. Lists of an
earlier run with the same code and data are not made again; they are in data/quality/. Exit status 1 below a floor.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alsobought.console import err, late_lines
from alsobought.demo.datasets.contents import Oracle
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.evaluation.baselines.registry import BASELINES, create_baseline
from alsobought.evaluation.baselines.scores import top
from alsobought.evaluation.bootstrap import Bootstrap, interval
from alsobought.evaluation.gates import Gate, read_gates
from alsobought.evaluation.measures import MEASURES as ALL_MEASURES
from alsobought.evaluation.measures import query_measures
from alsobought.evaluation.replay import Replay, open_replay
from alsobought.evaluation.results import Results
from alsobought.evaluation.run import Evaluation, Plan, evaluate, resolve_systems
from alsobought.evaluation.sources import Source, open_source
from alsobought.evaluation.tasks import ALSO_SEEN, Query
from alsobought.pipes.library import Library
from alsobought.settings import Settings
from benchmarks.quality_page import write_page
from benchmarks.quality_results import MEASURES, Cell, Row, save

ROOT = Path(__file__).parent.parent
GATES = ROOT / "tests" / "quality"
LISTS = ROOT / "data" / "quality"
ORACLE_QUERIES = 256  # at once: each has a score for every item


@dataclass(frozen=True)
class Task:
    """What is asked on a data set, with the gates of its pipes."""

    dataset: str
    event_type: str
    task: str
    gates: Mapping[str, Gate]

    @property
    def plan(self) -> Plan:
        plans = [gate.plan for gate in self.gates.values()]
        parameters = {name: values for plan in plans for name, values in plan.parameters.items()}
        pipes = list(dict.fromkeys(gate.pipe for gate in self.gates.values()))
        return replace(plans[0], pipes=pipes, parameters=parameters, baselines=baselines_for(self.task))


def baselines_for(task: str) -> list[str]:
    """Those that support the task. Raises Unusable if a library is missing."""
    names = []
    for name in BASELINES:
        try:
            create_baseline(name, task)
        except Unusable as error:
            if "does not support" not in str(error):
                raise
        else:
            names.append(name)
    return names


def tasks_of(gates: Mapping[str, Gate]) -> list[Task]:
    """Those of one data set and event type together, since they share a replay; the journey, the largest, is last."""
    by_task: dict[tuple[str, str, str], dict[str, Gate]] = {}
    for name, gate in gates.items():
        by_task.setdefault((gate.dataset or "", gate.event_type, gate.task), {})[name] = gate
    return [Task(*key, by_task[key]) for key in sorted(by_task, key=lambda key: (key[0] == "journey", key))]


def run(tasks: Sequence[Task]) -> list[str]:
    """Measures every task. Returns the failures, one line each."""
    failures: list[str] = []
    by_replay: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        by_replay.setdefault((task.dataset, task.event_type), []).append(task)
    for (dataset, event_type), members in by_replay.items():
        err.print(f"{dataset}, predicting {event_type} …", markup=False)
        started = time.monotonic()
        try:
            failures += _measure(members)
        except AlsoboughtError as error:
            failures.append(f"{dataset}: {error}")
        err.print(f"{dataset}, predicting {event_type}: {time.monotonic() - started:.0f} s", markup=False)
    return failures


def _measure(tasks: Sequence[Task]) -> list[str]:
    failures, plans = [], [task.plan for task in tasks]
    settings, first = Settings(), plans[0]

    def needs_events(library: Library) -> bool:
        for plan in plans:
            resolve_systems(plan, library)
        return True

    started = time.monotonic()
    with open_source(settings, tasks[0].dataset) as source:
        split = source.split(first.train_before, first.days)
        with open_replay(settings, source, split, None, needs_events, _progress, first.event_type) as replay:
            replayed = time.monotonic() - started
            for task, plan in zip(tasks, plans, strict=True):
                started = time.monotonic()
                lists = LISTS / f"{task.dataset}.{task.event_type}.{task.task}.ndjson"
                LISTS.mkdir(parents=True, exist_ok=True)
                evaluation = evaluate(plan, replay, source.name, _progress, Results(lists, resume=True))
                cell = _cell(task, evaluation, source, replay, replayed + time.monotonic() - started)
                save(cell)
                write_page(tasks_of(read_gates(sorted(GATES.glob("*.yaml")))))
                err.print(f"  {task.task}: {cell.seconds - replayed:.0f} s", markup=False)
                failures += [f"{name}: {error}" for name, error in evaluation.report.failed.items()]
                failures += below_floors(task, cell)
    return failures


def _progress(title: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    return late_lines(err, title, total, unit)


def below_floors(task: Task, cell: Cell) -> list[str]:
    lines = []
    rows = {row.name: row for row in cell.rows}
    for name, gate in task.gates.items():
        for measure in MEASURES if gate.pipe in rows else ():
            value, floor = rows[gate.pipe].measures[measure].mean, getattr(gate.floor, measure)
            if value < floor:
                lines.append(f"{name}: {measure} is {value:.4f}, below its floor {floor:.4f}")
    return lines


def _cell(task: Task, evaluation: Evaluation, source: Source, replay: Replay, seconds: float) -> Cell:
    report = evaluation.report
    rows = [
        Row(
            system.name,
            "pipe" if system.pipe else "baseline",
            {measure: system.measures[measure] for measure in MEASURES},
            system.seconds,
            {
                name: {measure: by_measure[measure] for measure in MEASURES}
                for name, by_measure in system.differences.items()
            },
        )
        for system in report.systems
    ]
    if source.oracle and report.event_type == "view" and report.task != ALSO_SEEN:  # whose items are of several visits
        rows.append(_oracle_row(source.oracle, evaluation.queries, replay, report.at, report.seed))
    return Cell(
        task.dataset,
        report.event_type,
        report.task,
        f"{report.train_before:%Y-%m-%d}",
        report.days,
        report.questions,
        report.users,
        seconds,
        rows,
        {**report.skipped, **report.failed},
    )


def _oracle_row(oracle: Oracle, queries: Sequence[Query], replay: Replay, k: int, seed: int) -> Row:
    """Ranks by the true probabilities at the split."""
    started, lists = time.monotonic(), []
    column = {name: number for number, name in enumerate(oracle.items)}
    for start in range(0, len(queries), ORACLE_QUERIES):
        batch = queries[start : start + ORACLE_QUERIES]
        known = [[*query.before, *filter(None, [query.shown])] for query in batch]
        scores = oracle.scores([query.user for query in batch], known, replay.log.split.train_before)
        for values, query in zip(scores, batch, strict=True):
            values[[column[item] for item in query.forbidden if item in column]] = -np.inf
            lists.append([oracle.items[index] for index in top(values, k)])
    values = query_measures(lists, queries, k)
    means = Bootstrap([query.user for query in queries], seed).means(values)
    columns = {measure: ALL_MEASURES.index(measure) for measure in MEASURES}
    measures = {measure: interval(values[:, number], means[:, number]) for measure, number in columns.items()}
    return Row("oracle", "oracle", measures, time.monotonic() - started)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="See the top of this file.")
    parser.add_argument("--only", action="append", metavar="DATASET", help="measure this data set; repeatable")
    parser.add_argument("--page", action="store_true", help="measure nothing, and write the page")
    options = parser.parse_args(arguments)
    tasks = tasks_of(read_gates(sorted(GATES.glob("*.yaml"))))
    if unknown := set(options.only or ()) - {task.dataset for task in tasks}:
        names = ", ".join(dict.fromkeys(task.dataset for task in tasks))
        parser.error(f"tests/quality/ has nothing about {', '.join(unknown)}; it has {names}")
    failures = []
    if not options.page:
        failures = run([task for task in tasks if not options.only or task.dataset in options.only])
    write_page(tasks)
    for line in failures:
        err.print(line, style="red", markup=False)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main(sys.argv[1:])
