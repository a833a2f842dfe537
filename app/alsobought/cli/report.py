"""`alsobought report`: what recommendations lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import err, escaped, late_bar, out
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.evaluation.recommendation_report import RecommendationReport
    from alsobought.evaluation.shadow_report import ShadowReport

BY = ["surface", "pipe", "version", "variant", "position", "segment"]
NOTHING = 1  # exit code
WIDE, FEW = 130, 4  # characters of a terminal that has room for all columns; else only the first few


@click.command("report")
@click.option(
    "--since", default="7d", show_default=True, metavar="TIME", help="From this time on: 7d, 24h or 2026-03-01."
)
@click.option("--until", default="", metavar="TIME", help="To this time, not included.  [default: now]")
@click.option("--by", type=click.Choice(BY), default="surface", show_default=True, help="A row for each of them.")
@click.option("--shadows", is_flag=True, help="Compare the shadows of surfaces with what was shown.")
@click.option("--markdown", "target", default="", metavar="FILE", help="Write Markdown to a file; - prints it.")
@click.pass_obj
def report(settings: Settings, since: str, until: str, by: str, shadows: bool, target: str) -> None:
    """Show what recommendations lead to: rates, revenue, days, faults.

    Rates and revenue have 95 % intervals. The last lines say which events are missing. The exit code is 1 if no event of the period
    brought back a recommendation_id.

    With --shadows, it shows for each shadow how its lists differ from those that were shown, at which rank it had the items that
    were clicked, and, where shown lists explored, the click-through rate that it would have had. The exit code is 1 if there is
    none.

    \b
    Example: alsobought report --since 7d
             alsobought report --since 30d --by variant --markdown -
             alsobought report --since 14d --shadows
    """
    from alsobought.access.audit_reading import read_since
    from alsobought.evaluation.recommendation_report import markdown, recommendation_report
    from alsobought.evaluation.shadow_report import ShadowReport, shadow_report
    from alsobought.evaluation.shadow_report import markdown as shadow_markdown
    from alsobought.serving.answers import answer, open_library

    now = datetime.now(UTC)
    begin, end = read_since(since, now), read_since(until, now) if until else now
    if begin >= end:
        raise click.BadParameter(f"{since} is not before {until or 'now'}", param_hint="--since")
    with (
        existing_warehouse(settings) as warehouse,
        late_bar(err, "reading touches and purchases", 2 if shadows else 5, "pipes") as advance,
    ):
        library = open_library(settings, warehouse)

        def ask(pipe: str, parameters: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
            raw = {name: [value] for name, value in parameters.items()}
            rows = list(answer(library, warehouse, pipe, raw, now).dicts())
            advance(1)
            return rows

        made: RecommendationReport | ShadowReport
        made = shadow_report(ask, begin, end) if shadows else recommendation_report(ask, begin, end, by)
    text = shadow_markdown(made) if isinstance(made, ShadowReport) else markdown(made)
    if target == "-":
        click.echo(text, nl=False)
    elif target:
        Path(target).write_text(text, encoding="utf-8")
        out.print(escaped(f"written to {target}"))
    elif isinstance(made, ShadowReport):
        _print_shadows(made)
    else:
        _print(made)
    if not _has_content(made):
        raise SystemExit(NOTHING)


def _has_content(made: RecommendationReport | ShadowReport) -> bool:
    from alsobought.evaluation.shadow_report import ShadowReport

    if isinstance(made, ShadowReport):
        return bool(made.shadows)
    return made.total is not None and bool(made.total["impressions"] or made.total["clicks"])


def _print_shadows(made: ShadowReport) -> None:
    from alsobought.evaluation.shadow_report import lines, notes

    out.print(f"[bold]Shadows[/], {made.since:%Y-%m-%d %H:%M} to {made.until:%Y-%m-%d %H:%M} UTC")
    if not made.shadows:
        out.print("\n[yellow]No shadow was asked. Name a pipe with `shadow:` at a surface in sql/surfaces.yaml.[/]")
    for shadow in made.shadows:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("")
        for name in ("shown", "shadow"):
            table.add_column(name, justify="right")
        for line in lines(shadow):
            table.add_row(*map(escaped, line))
        out.print(f"\n[bold]{escaped(shadow.title)}[/]")
        out.print(table)
        for sentence in notes(shadow):
            out.print(f"[yellow]{escaped(sentence)}.[/]")
    if any(shadow.estimate for shadow in made.shadows):
        out.print("\n[dim]In brackets: 95 % intervals. docs/how-to/off-policy.md[/]")


def _print(made: RecommendationReport) -> None:
    from alsobought.evaluation.recommendation_report import COLUMNS, cells, share, totals, trends

    out.print(f"[bold]Recommendations[/], {made.since:%Y-%m-%d %H:%M} to {made.until:%Y-%m-%d %H:%M} UTC\n")
    grid = Table.grid(padding=(0, 2))
    for name, value in totals(made):
        grid.add_row(name, value)
    out.print(grid)
    if made.parts:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column(made.by)
        shown = len(COLUMNS) if out.width >= WIDE else FEW
        for column in COLUMNS[:shown]:
            table.add_column(column, justify="right")
        for row in made.parts:
            table.add_row(escaped(str(row["value"])), *cells(row, made)[:shown])
        out.print()
        out.print(table)
    if lines := trends(made):
        trend = Table.grid(padding=(0, 2))
        for title, bars, span in lines:
            trend.add_row(f"{title} by day", f"[cyan]{bars}[/]", f"[dim]{span}[/]")
        out.print()
        out.print(trend)
    if made.faults:
        out.print()
        for row in made.faults:
            out.print(f"{row['fault'].replace('_', ' ')}: {row['number']:,} ({share(row['share'])})")
    for sentence in made.missing:
        out.print(f"\n[yellow]{escaped(sentence)}.[/]")
    out.print("\n[dim]In brackets: 95 % intervals.[/]")
