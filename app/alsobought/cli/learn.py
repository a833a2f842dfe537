"""`alsobought learn`: what is computed of the events now and then, and how good it came out."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import click
import msgspec

from alsobought.console import ago, err, escaped, late_bar, out, print_json
from alsobought.learning.protocol import Learner, Option
from alsobought.learning.registry import LEARNERS
from alsobought.settings import Settings

KINDS: dict[type, click.ParamType[Any]] = {str: click.STRING, bool: click.BOOL, date: click.DateTime(["%Y-%m-%d"])}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
@click.pass_context
def learn(ctx: click.Context, as_json: bool) -> None:
    """Learn from the events what no view can count, and write it back for pipes to read.

    Without a name: what can be learnt, when that was done last, of how many events, and how good it was. The tables that answer
    are exchanged at once when all went well; a run that is stopped changes nothing. It works beside a running `serve`.

    \b
    Example: alsobought learn
             alsobought learn neighbours
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, as_json)
    elif as_json:
        raise click.UsageError("--json stands behind the name")


def _list(settings: Settings, as_json: bool) -> None:
    from alsobought.learning.runs import latest
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        runs = latest(warehouse) if "learned" in warehouse.tables() else {}
    finally:
        warehouse.close()
    if as_json:
        print_json([_listed(learner, runs.get(name)) for name, learner in LEARNERS.items()])
        return
    wide = max(map(len, LEARNERS))
    for name, learner in LEARNERS.items():
        out.print(f"[bold]{name:{wide}}[/]  {escaped(learner.about)}", soft_wrap=True)
        out.print(f"{'':{wide}}  {escaped(_said(runs.get(name)))}", soft_wrap=True)


def _listed(learner: Learner, run: Any) -> dict[str, Any]:
    return {"name": learner.name, "about": learner.about, "tables": learner.tables, "learned": run}


def _said(run: Any) -> str:
    if run is None:
        return "never learnt"
    since = ago((datetime.now(UTC) - run.learned_at).total_seconds())
    rows = ", ".join(f"{count:,} rows in {table}" for table, count in run.rows.items())
    return f"{since}, of {run.events:,} events in {run.seconds:.1f} s: {rows}" + (f"; {run.line}" if run.line else "")


def _run(name: str) -> Any:
    @click.pass_obj
    def run(settings: Settings, /, as_json: bool, **asked: Any) -> None:
        from alsobought.learning.context import Context
        from alsobought.learning.registry import learn as learn_one
        from alsobought.service.ipc_client import reach_service

        days = {key: value.date() if isinstance(value, datetime) else value for key, value in asked.items()}
        shop = reach_service(settings, create=False)
        try:
            context = Context(
                shop.warehouse,
                settings.home_folder,
                datetime.now(UTC),
                lambda title, total, unit: late_bar(err, title, total, unit),
                lambda table, made: shop.do("swap in a learned table", table, made),
            )
            done = learn_one(name, context, days)
        finally:
            shop.close()
        if as_json:
            print_json(msgspec.to_builtins(done))
        else:
            out.print(f"{name}: {escaped(_said(done).partition(', ')[2])}", soft_wrap=True)

    return run


def _command(learner: Learner) -> click.Command:
    help_text = f"{learner.about}\n\n\b\nExample: {learner.example}"
    switch = click.Option(["--json", "as_json"], is_flag=True, help="The same as JSON.")
    return click.Command(
        learner.name, callback=_run(learner.name), params=[*map(_option, learner.options), switch], help=help_text
    )


def _option(option: Option) -> click.Option:
    flag = f"--{option.name.replace('_', '-')}"
    names = [flag, option.name]  # click takes the second as it is
    if option.kind is bool:
        return click.Option(names, is_flag=True, default=option.default, help=option.help)
    kind: click.ParamType[Any] = (
        click.Choice(option.choices) if option.choices else KINDS.get(option.kind, click.STRING)
    )
    if option.kind is int:
        kind = click.IntRange(int(option.at_least), None if option.at_most is None else int(option.at_most))
    elif option.kind is float:
        kind = click.FloatRange(option.at_least, option.at_most)
    return click.Option(
        names, type=kind, default=option.default, show_default=option.default is not None, help=option.help
    )


for _learner in LEARNERS.values():
    learn.add_command(_command(_learner))
