"""`alsobought experiments` and `alsobought experiment`: what experiments show, and stopped variants shown again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table

from alsobought.cli.audited import audited
from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import escaped, out, print_heading, print_json
from alsobought.errors import NoSuchExperiment
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.experimentation.report import Report
    from alsobought.storage.warehouse import Warehouse
    from alsobought.surfaces.experiment import Experiment


class ShowByDefault(click.Group):
    """`experiment NAME` is `experiment show NAME`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


@click.command("experiments")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def experiments(settings: Settings, as_json: bool) -> None:
    """List the experiments of sql/experiments.yaml with their state, and what those that have begun show.

    \b
    Example: alsobought experiments
    """
    from alsobought.experimentation.evaluation import evaluate
    from alsobought.experimentation.words import headline

    now = datetime.now(UTC)
    with _opened(settings) as (warehouse, known):
        reports = [evaluate(warehouse, settings, one, now) for one in known.values()]
    if as_json:
        print_json([_as_json(report) for report in reports])
        return
    if not reports:
        out.print("no experiments; sql/experiments.yaml describes them")
    for report in reports:
        until = f" until {report.until}" if report.until else ""
        print_heading(report.name)
        out.print(f"  {report.state} on {escaped(report.surface)}, since {report.since}{until}", soft_wrap=True)
        out.print(f"  {escaped(headline(report))}", soft_wrap=True)


@click.group("experiment", cls=ShowByDefault)
def experiment() -> None:
    """Show what an experiment has found, and what to do; or resume a stopped variant.

    `experiment NAME` is short for `experiment show NAME`.

    \b
    Example: alsobought experiment show ranked_below_products
             alsobought experiment resume ranked_below_products ranked
    """


@experiment.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the interval of each day.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print Markdown, for a pull request or a chat.")
@click.pass_context
def experiment_show(ctx: click.Context, name: str, as_json: bool, as_markdown: bool) -> None:
    """Show the decision of an experiment: lifts, guardrails, sample ratio, and what to do.

    Of interleaved lists: which variant users prefer.

    The intervals hold on all days together: look as often as you like. Exits with 1 if the split is
    broken or a variant is stopped, else with 0.

    \b
    Example: alsobought experiment show ranked_below_products
             alsobought experiment show ranked_below_products --markdown
    """
    from alsobought.experimentation import words
    from alsobought.experimentation.evaluation import evaluate

    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown are mutually exclusive")
    settings: Settings = ctx.obj
    with _opened(settings) as (warehouse, known):
        report = evaluate(warehouse, settings, _named(known, name), datetime.now(UTC))
    if as_json:
        print_json(_as_json(report))
    elif as_markdown:
        click.echo(words.as_markdown(report), nl=False)
    else:
        _print(report)
    if report.is_split_broken or any(variant.stop for variant in report.variants):
        ctx.exit(1)


@experiment.command("resume")
@click.argument("name")
@click.argument("variant")
@click.pass_obj
def experiment_resume(settings: Settings, name: str, variant: str) -> None:
    """Show a variant again that a guardrail stopped. A running service does within seconds.

    The guardrail still holds: if it is breached still, the service stops the variant again.

    \b
    Example: alsobought experiment resume ranked_below_products ranked
    """
    from alsobought.experimentation.stops import resume

    with _opened(settings) as (warehouse, known):
        resumed = _named(known, name)
        with audited(warehouse, "experiment.resume", f"{name} {variant}") as recorded:
            recorded["was_stopped"] = resume(warehouse, resumed, variant, datetime.now(UTC)).reason
    out.print(f"{escaped(variant)} of {escaped(name)} is shown again")


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Warehouse, Mapping[str, Experiment]]]:
    """The warehouse, and the experiments of the project."""
    from alsobought.serving.answers import open_library
    from alsobought.surfaces.live import LiveSurfaces

    with existing_warehouse(settings) as warehouse:
        layout = LiveSurfaces(settings.home_folder, open_library(settings, warehouse)).current()
        yield warehouse, layout.experiments.by_name


def _named(known: Mapping[str, Experiment], name: str) -> Experiment:
    if name not in known:
        there = f"There are {', '.join(sorted(known))}" if known else "sql/experiments.yaml has none"
        raise NoSuchExperiment(f"there is no experiment {name[:60]!r}", there)
    return known[name]


def _print(report: Report) -> None:
    from alsobought.experimentation import words

    print_heading(report.name)
    out.print(escaped(words.headline(report)), soft_wrap=True)
    out.print(escaped(words.advice(report)), soft_wrap=True)
    out.print()
    if rows := words.variant_rows(report):
        table = Table(box=None, pad_edge=False)
        for column in words.COLUMNS:
            table.add_column(column, justify="right" if column in ("share", "units", "level", "lift") else "left")
        for row in rows:
            table.add_row(*map(escaped, row))
        out.print(table)
        out.print()
    for label, text in words.facts(report):
        out.print(f"[dim]{escaped(label)}[/]  {escaped(text)}", soft_wrap=True)


def _as_json(report: Report) -> dict[str, Any]:
    from alsobought.experimentation import words

    sentences = {"headline": words.headline(report), "advice": words.advice(report)}
    return {**sentences, **msgspec.to_builtins(report, builtin_types=(date, datetime))}
