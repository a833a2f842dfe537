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
from alsobought.console import err, late_bar, out, print_json
from alsobought.demo.datasets.names import DATASETS
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.evaluation.report import Report
    from alsobought.evaluation.run import Evaluation, Plan
    from alsobought.pipes.library import Library

TASKS = ("next", "next-novel", "window", "also-bought")


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
@click.option("--dataset", type=click.Choice(DATASETS), help="Use this data set instead of the shop's own events.")
@click.option(
    "--set", "settings_of_pipes", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the pipes; repeatable."
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="NAME",
    help="Compare with popularity, ease …, or a pipe; repeatable.",
)
@click.option("--users", type=click.IntRange(min=1), help="Sample this number of users.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of all random samples.")
@click.option("--at", type=click.IntRange(1, 100), default=10, show_default=True, help="Length of the lists.")
@click.option(
    "--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the replayed warehouse in this folder."
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
    "--save", type=click.Path(dir_okay=False, path_type=Path), help="Write every query and its lists to this file."
)
@click.pass_obj
def evaluate(
    settings: Settings,
    pipes: tuple[str, ...],
    train_before: datetime | None,
    days: int,
    task: str | None,
    dataset: str | None,
    settings_of_pipes: tuple[str, ...],
    baselines: tuple[str, ...],
    users: int | None,
    seed: int,
    at: int,
    keep: Path | None,
    gates: tuple[Path, ...],
    as_json: bool,
    save: Path | None,
) -> None:
    """Measure recommendations: replay the log up to a day, query the pipes, and compare their lists with later purchases.

    Reads the shop's own events, also beside a running `serve`, and changes nothing there. Tasks: `next`, the next basket of
    each user; `next-novel`, the new items in it; `window`, all purchases of the days; `also-bought`, the rest of a basket
    of which one item is shown. docs/how-to/evaluate.md explains the numbers.

    --keep FOLDER makes later runs on the same events and tables much faster. --save FILE writes one JSON object per line.
    Without a pipe, only the baselines are measured.

    --gate FILE measures the gate in the file instead, and fails below its floors: exit status 1.

    \b
    Example: alsobought evaluate for_you trending --days 14
             alsobought evaluate also_bought --dataset journey --train-before 2017-11-06 --baseline co-occurrence
             alsobought evaluate --gate tests/quality/also_bought.yaml
    """
    from alsobought.evaluation.run import Plan

    if gates:
        if pipes or baselines:
            raise click.UsageError("--gate and pipes or baselines are mutually exclusive: a gate names its pipe")
        _measure_gates(settings, gates, as_json)
        return
    if not pipes and not baselines:
        raise click.UsageError("name a pipe, such as for_you; `alsobought pipe ls` lists them")
    plan = Plan(pipes, task or "", train_before, days, at, users, seed, baselines, parse_parameters(settings_of_pipes))
    evaluation = _evaluate(settings, plan, dataset, keep)
    if save:
        _save(save, evaluation)
    if as_json:
        print_json(_json_object(evaluation.report))
    else:
        from alsobought.evaluation.terminal import print_report

        print_report(evaluation.report, out)


def _progress(title: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    return late_bar(err, title, total, unit)


def _evaluate(settings: Settings, plan: Plan, dataset: str | None, keep: Path | None) -> Evaluation:
    from alsobought.evaluation.replay import open_replay
    from alsobought.evaluation.run import evaluate as run
    from alsobought.evaluation.run import resolve_systems
    from alsobought.evaluation.sources import open_source

    def needs_events(library: Library) -> bool:
        return bool(resolve_systems(plan, library).pipes)

    with open_source(settings, dataset) as source:
        split = source.split(plan.train_before, plan.days)
        with open_replay(settings, source, split, keep, needs_events, _progress) as replay:
            return run(plan, replay, source.name, _progress)


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


def _save(path: Path, evaluation: Evaluation) -> None:
    import msgspec

    from alsobought.evaluation.run import saved_queries

    path.write_bytes(msgspec.json.Encoder().encode_lines(saved_queries(evaluation)))
