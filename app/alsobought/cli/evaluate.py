"""`alsobought evaluate`: how good a pipe's recommendations are, by the very SQL that serves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.cli.parameters import parse_parameters
from alsobought.console import err, late_bar, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.evaluation.run import Evaluation, Plan
    from alsobought.pipes.library import Library

TASKS = ("next", "next-novel", "window", "also-bought")
DATASETS = ("journey", "toyshop")


def _day(ctx: click.Context, option: click.Parameter, given: datetime | None) -> datetime | None:  # noqa: ARG001
    from alsobought.evaluation.log import day

    return day(given) if given else None


@click.command()
@click.argument("pipes", nargs=-1, metavar="[PIPE...]")
@click.option(
    "--train-before",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=_day,
    metavar="DAY",
    help="What is known: the events before this day.  [default: all but the last --days]",
)
@click.option("--days", type=click.IntRange(1, 3650), default=28, show_default=True, help="What is foretold.")
@click.option("--task", type=click.Choice(TASKS), help="What is asked.  [default: also-bought if it takes an item]")
@click.option("--dataset", type=click.Choice(DATASETS), help="A data set of the demos, not the shop's own events.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipes; repeat it.")
@click.option(
    "--baseline", "baselines", multiple=True, metavar="NAME", help="To compare with: popularity, ease …, or a pipe."
)
@click.option("--users", type=click.IntRange(min=1), help="Ask about so many people, drawn with the seed.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of everything that is drawn.")
@click.option("--at", type=click.IntRange(1, 100), default=10, show_default=True, help="How long the lists are.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the replayed warehouse in here.")
@click.option(
    "--gate",
    "gates",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Measure what this file says.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write every question and list there.")
@click.pass_obj
def evaluate(
    settings: Settings,
    pipes: tuple[str, ...],
    train_before: datetime | None,
    days: int,
    task: str | None,
    dataset: str | None,
    given: tuple[str, ...],
    baselines: tuple[str, ...],
    users: int | None,
    seed: int,
    at: int,
    keep: Path | None,
    gates: tuple[Path, ...],
    as_json: bool,
    save: Path | None,
) -> None:
    """Measure recommendations: the log is replayed up to a day, and the pipes are asked what came then.

    The shop's own events are read, also beside a running `serve`; nothing is changed there. Tasks: `next`, the next basket of
    each person; `next-novel`, what is new to them in it; `window`, all they buy in the days; `also-bought`, the rest of a basket
    of which one item is shown. docs/how-to/evaluate.md says what each number means.

    --keep FOLDER makes the next run on the same events and tables much faster. --save FILE writes one JSON object a line. With
    several pipes there is one table; without a pipe the baselines alone are measured.

    --gate FILE, repeated, measures what the file says instead and fails under its floors: exit status 1.

    \b
    Example: alsobought evaluate for_you trending --days 14
             alsobought evaluate also_bought --dataset journey --train-before 2017-11-06 --baseline co-occurrence
             alsobought evaluate --gate tests/quality/also_bought.yaml
    """
    from alsobought.evaluation.run import Plan

    if gates:
        if pipes or baselines:
            raise click.UsageError("A gate names its pipe: give --gate, or pipes and baselines")
        _check(settings, gates, as_json)
        return
    if not pipes and not baselines:
        raise click.UsageError("Name a pipe, such as for_you; `alsobought pipe ls` lists them")
    plan = Plan(pipes, task or "", train_before, days, at, users, seed, baselines, parse_parameters(given))
    found = _evaluated(settings, plan, dataset, keep)
    if save:
        _save(save, found)
    if as_json:
        print_json(found.report)
    else:
        from alsobought.evaluation.shown import show

        show(found.report, out)


def _progress(title: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    return late_bar(err, title, total, unit)


def _evaluated(settings: Settings, plan: Plan, dataset: str | None, keep: Path | None) -> Evaluation:
    from alsobought.evaluation.replay import replayed
    from alsobought.evaluation.run import evaluate as run
    from alsobought.evaluation.run import systems_of
    from alsobought.evaluation.sources import opened

    def asks(library: Library) -> bool:
        return bool(systems_of(plan, library).pipes)

    with opened(settings, dataset) as source:
        split = source.split(plan.train_before, plan.days)
        with replayed(settings, source, split, keep, asks, _progress) as replay:
            return run(plan, replay, source.name, _progress)


def _check(settings: Settings, paths: Sequence[Path], as_json: bool) -> None:
    from alsobought.evaluation.gates import measured, read_gates

    passed = list(measured(settings, read_gates(paths), _progress))
    if as_json:
        print_json(passed)
    else:
        from alsobought.evaluation.shown import show_gates

        show_gates(passed, out)
    if not all(one.ok for one in passed):
        sys.exit(1)


def _save(path: Path, found: Evaluation) -> None:
    import msgspec

    from alsobought.evaluation.run import questions

    path.write_bytes(msgspec.json.Encoder().encode_lines(questions(found)))
