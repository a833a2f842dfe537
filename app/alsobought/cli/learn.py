"""`alsobought learn`: run a learner, or list the learners with their latest runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import click
import msgspec

from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import ago, err, escaped, late_bar, out, print_json
from alsobought.learning.protocol import Learner, Option, current_options
from alsobought.learning.registry import LEARNERS
from alsobought.learning.runs import LearningRun
from alsobought.settings import Settings

PARAM_TYPES: dict[type, click.ParamType[Any]] = {
    str: click.STRING,
    bool: click.BOOL,
    date: click.DateTime(["%Y-%m-%d"]),
}
RUNS = 50  # that `--history` lists


@click.group(invoke_without_command=True)
@click.option("--history", is_flag=True, help="List the latest runs, and the versions of the ranker's weights.")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
@click.pass_context
def learn(ctx: click.Context, history: bool, as_json: bool) -> None:
    """Learn tables that no view can compute from the events, for pipes to read.

    Without a name, list the learners and their latest runs. A run replaces its tables atomically when it is complete;
    an interrupted run changes nothing. Works beside a running `serve`.

    \b
    Example: alsobought learn
             alsobought learn neighbours
             alsobought learn --history
    """
    if ctx.invoked_subcommand is None:
        (_history if history else _list)(ctx.obj, as_json)
    elif as_json or history:
        raise click.UsageError("put --json after the name" if as_json else "--history has no name after it")


def _list(settings: Settings, as_json: bool) -> None:
    from alsobought.learning.runs import latest_runs

    with existing_warehouse(settings) as warehouse:
        runs = latest_runs(warehouse) if "learned" in warehouse.tables() else {}
    if as_json:
        print_json([_json_object(learner, runs.get(name)) for name, learner in LEARNERS.items()])
        return
    width = max(map(len, LEARNERS))
    for name, learner in LEARNERS.items():
        out.print(f"[bold]{name:{width}}[/]  {escaped(learner.about)}", soft_wrap=True)
        out.print(f"{'':{width}}  {escaped(_summary(runs.get(name)))}", soft_wrap=True)


def _history(settings: Settings, as_json: bool) -> None:
    from alsobought.learning.context import Context
    from alsobought.learning.ranker_versions import rows_in_service, time_of, version_of, versions
    from alsobought.learning.runs import newest_runs

    with existing_warehouse(settings) as warehouse:
        context = Context(warehouse, settings.home_folder, datetime.now(UTC), lambda *step: late_bar(err, *step))
        runs, stored, current = newest_runs(warehouse, RUNS), versions(context), version_of(rows_in_service(context))
    if as_json:
        print_json({"runs": runs, "ranker_versions": stored, "ranker_version": current})
        return
    for run in runs:
        out.print(f"{run.learned_at:%Y-%m-%d %H:%M}  {run.name}  {escaped(_result(run))}", soft_wrap=True)
    if stored:
        out.print("\nVersions of the ranker's weights")
    for one in stored:
        state = " (in service)" if one.version == current else ""
        line = (
            f"{time_of(one.version)}  from {one.source}, {one.weights} weights, replaced {time_of(one.previous)}{state}"
        )
        out.print(line, soft_wrap=True)


def _json_object(learner: Learner, run: LearningRun | None) -> dict[str, Any]:
    return {"name": learner.name, "about": learner.about, "tables": learner.tables, "learned": run}


def _summary(run: LearningRun | None) -> str:
    if run is None:
        return "never learned"
    return f"{ago((datetime.now(UTC) - run.learned_at).total_seconds())}, {_result(run)}"


def _result(run: LearningRun) -> str:
    rows = ", ".join(f"{count:,} rows in {table}" for table, count in run.rows.items())
    return f"from {run.events:,} events in {run.seconds:.1f} s: {rows}" + (f"; {run.line}" if run.line else "")


def _callback(learner: Learner) -> Any:
    @click.pass_obj
    def run(settings: Settings, /, as_json: bool, **arguments: Any) -> None:
        from alsobought.learning.context import Context
        from alsobought.learning.registry import learn as run_learner
        from alsobought.service.ipc_client import reach_service

        service = reach_service(settings, create=False)
        try:
            context = Context(
                service.warehouse,
                settings.home_folder,
                datetime.now(UTC),
                lambda title, total, unit: late_bar(err, title, total, unit),
                lambda table, replacement: service.do("swap in a learned table", table, replacement),
                settings.attribution_days,
            )
            finished = run_learner(learner.name, context, _options(learner, arguments))
        finally:
            service.close()
        if as_json:
            print_json(msgspec.to_builtins(finished))
        else:
            out.print(f"{learner.name}: {escaped(_result(finished))}", soft_wrap=True)

    return run


def _options(learner: Learner, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as options of the learner, with a warning for each deprecated name or value."""
    for option in learner.options:
        if arguments.get(option.deprecated_name) is not None:
            _warn(f"--{option.deprecated_name} is deprecated: use --{option.name}")
            arguments[option.name] = arguments[option.deprecated_name]
        if arguments.get(option.name) in option.deprecated_choices:
            value = arguments[option.name]
            _warn(f"--{option.name} {value} is deprecated: use {option.deprecated_choices[value]}")
    names = [option.name for option in learner.options]
    dates = {name: value.date() for name, value in arguments.items() if isinstance(value, datetime)}
    return current_options(learner, {name: value for name, value in (arguments | dates).items() if name in names})


def _warn(text: str) -> None:
    err.print(f"[yellow]warning:[/] {escaped(text)}", soft_wrap=True)


def _command(learner: Learner) -> click.Command:
    help_text = f"{learner.about}\n\n\b\nExample: {learner.example}"
    parameters: list[click.Parameter] = [flag for option in learner.options for flag in _parameters(option)]
    parameters.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."))
    return click.Command(learner.name, callback=_callback(learner), params=parameters, help=help_text)


def _parameters(option: Option) -> list[click.Option]:
    """The option, and a hidden one for its deprecated name."""
    flags = [f"--{option.name.replace('_', '-')}", option.name]  # the second is the name of the argument
    if option.type is bool:
        return [click.Option(flags, is_flag=True, default=option.default, help=option.help)]
    param_type, show_default = _param_type(option), option.default is not None
    metavar = f"[{'|'.join(option.choices)}]" if option.choices else None  # without the deprecated choices
    current = click.Option(
        flags, type=param_type, default=option.default, show_default=show_default, help=option.help, metavar=metavar
    )
    if not option.deprecated_name:
        return [current]
    return [current, click.Option([f"--{option.deprecated_name}"], type=param_type, hidden=True)]


def _param_type(option: Option) -> click.ParamType[Any]:
    if option.choices:
        return click.Choice([*option.choices, *option.deprecated_choices])
    if option.type is int:
        return click.IntRange(int(option.minimum), None if option.maximum is None else int(option.maximum))
    if option.type is float:
        return click.FloatRange(option.minimum, option.maximum)
    return PARAM_TYPES.get(option.type, click.STRING)


for _learner in LEARNERS.values():
    learn.add_command(_command(_learner))
