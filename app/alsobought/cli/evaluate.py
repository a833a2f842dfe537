"""`alsobought evaluate`: measure recommendations offline, with the SQL that serves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alsobought.cli.parameters import parse_parameters
from alsobought.console import err, late_lines, out, print_json
from alsobought.demo.datasets.names import DATASETS
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.evaluation.report import Report
    from alsobought.evaluation.results import Results
    from alsobought.evaluation.run import Evaluation, Plan
    from alsobought.pipes.library import Library

TASKS = ("next", "next-novel", "window", "also-bought", "also-seen", "session-next")
COLD = ("users", "items")


def _utc_day(ctx: click.Context, option: click.Parameter, value: datetime | None) -> datetime | None:  # noqa: ARG001
    from alsobought.evaluation.log import utc_midnight

    return utc_midnight(value) if value else None


@click.command()
@click.argument("pipes", nargs=-1, metavar="[PIPE...]")
@click.option(
    "--train-before",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_utc_day,
    metavar="DAY",
    help="Use the events before this day as the past.  [default: all but the last --days]",
)
@click.option("--days", type=click.IntRange(1, 3650), default=28, show_default=True, help="Days to predict.")
@click.option(
    "--task",
    type=click.Choice(TASKS),
    help="Queries to run.  [default: also-bought if the pipe requires an item, else next]",
)
@click.option(
    "--event-type",
    default="purchase",
    show_default=True,
    metavar="TYPE",
    help="Predict the events of this type: purchase, view, like, or one of your own.",
)
@click.option("--dataset", type=click.Choice(DATASETS), help="Use this data set instead of the shop's own events.")
@click.option(
    "--set", "settings_of_pipes", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the pipes; repeatable."
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="NAME",
    help="Compare with popularity, ease:items=4000 …, or a pipe; repeatable.",
)
@click.option("--cold", type=click.Choice(COLD), help="Add the recall by the number of events of users, or of items.")
@click.option("--users", type=click.IntRange(min=1), help="Sample this number of users.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of all random samples.")
@click.option("--at", type=click.IntRange(1, 100), default=10, show_default=True, help="Length of the lists.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the replayed warehouse, and what was learned on it, in this folder.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Measure the gate in this file; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every query and its lists to this file, after each pipe and baseline.",
)
@click.option("--resume", is_flag=True, help="Take lists that are done from an earlier run with the same --save.")
@click.pass_obj
def evaluate(
    settings: Settings,
    pipes: tuple[str, ...],
    train_before: datetime | None,
    days: int,
    task: str | None,
    event_type: str,
    dataset: str | None,
    settings_of_pipes: tuple[str, ...],
    baselines: tuple[str, ...],
    cold: str | None,
    users: int | None,
    seed: int,
    at: int,
    keep: Path | None,
    gates: tuple[Path, ...],
    as_json: bool,
    save: Path | None,
    resume: bool,
) -> None:
    """Measure recommendations: replay the log up to a day, query the pipes, and compare their lists with later purchases.

    Reads the shop's own events, also beside a running `serve`, and changes nothing there. Tasks: `next`, the next basket of
    each user; `next-novel`, the new items in it; `window`, all purchases of the days; `also-bought`, the rest of a basket
    of which one item is shown; `also-seen`, the rest of a user's items, one shown; `session-next`, the next item of a
    session. docs/how-to/evaluate.md explains the numbers.

    --keep FOLDER makes later runs on the same events and tables much faster. --save FILE writes one JSON object per line,
    and --resume continues a run that was stopped. Without a pipe, only the baselines are measured. If a pipe or a baseline
    fails, the others are measured: exit status 1.

    --gate FILE measures the gate in the file instead, and fails below its floors: exit status 1.

    \b
    Example: alsobought evaluate for_you trending --days 14
             alsobought evaluate also_bought --dataset journey --train-before 2017-11-06 --baseline co-occurrence
             alsobought evaluate --event-type like --task also-seen --baseline co-occurrence-users --cold items
             alsobought evaluate --gate tests/quality/also_bought.yaml
    """
    from alsobought.evaluation.results import Results
    from alsobought.evaluation.run import Plan

    if gates:
        if pipes or baselines:
            raise click.UsageError("--gate and pipes or baselines are mutually exclusive: a gate names its pipe")
        _measure_gates(settings, gates, as_json)
        return
    if not pipes and not baselines:
        raise click.UsageError("name a pipe, such as for_you; `alsobought pipe ls` lists them")
    if resume and not save:
        raise click.UsageError("--resume needs --save FILE: it continues the run that wrote the file")
    parameters = parse_parameters(settings_of_pipes)
    plan = Plan(pipes, task or "", train_before, days, at, users, seed, baselines, parameters, event_type, cold or "")
    evaluation = _evaluate(settings, plan, dataset, keep, Results(save, resume=resume))
    if as_json:
        print_json(_json_object(evaluation.report))
    else:
        from alsobought.evaluation.terminal import print_report

        print_report(evaluation.report, out)
    if evaluation.report.failed:
        sys.exit(1)


def _progress(title: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    return late_lines(err, title, total, unit)


def _evaluate(settings: Settings, plan: Plan, dataset: str | None, keep: Path | None, results: Results) -> Evaluation:
    from alsobought.evaluation.replay import open_replay
    from alsobought.evaluation.run import evaluate as run
    from alsobought.evaluation.run import resolve_systems
    from alsobought.evaluation.sources import open_source

    def needs_events(library: Library) -> bool:
        return bool(resolve_systems(plan, library).pipes)

    with open_source(settings, dataset) as source:
        split = source.split(plan.train_before, plan.days)
        with open_replay(settings, source, split, keep, needs_events, _progress, plan.event_type) as replay:
            return run(plan, replay, source.name, _progress, results)


def _json_object(report: Report) -> dict[str, Any]:
    """`people` and `learnt` are deprecated names of `users` and `learned`."""
    import msgspec

    content: dict[str, Any] = msgspec.to_builtins(report)
    return content | {"people": report.users, "learnt": report.learned}


def _measure_gates(settings: Settings, paths: Sequence[Path], as_json: bool) -> None:
    from alsobought.evaluation.gates import measure_gates, read_gates

    results = list(measure_gates(settings, read_gates(paths), _progress))
    if as_json:
        print_json(results)
    else:
        from alsobought.evaluation.terminal import print_gates

        print_gates(results, out)
    if not all(result.ok for result in results):
        sys.exit(1)
