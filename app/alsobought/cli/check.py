"""`alsobought check`: compare every count table with a recompute from the events."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from alsobought.console import err, escaped, out, print_heading, print_json, progress_bar
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.counts.consistency import Checked, Progress
    from alsobought.counts.recompute import Comparison, Difference


@click.command()
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; can be repeated.")
@click.option("--sample", metavar="SHARE", help="Only this share of users and of items, a random one: 1%, 0.5%.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(settings: Settings, tables: tuple[str, ...], sample: str | None, as_json: bool) -> None:
    """Compare every count table with a recompute from the events.

    Exit status 1 if any row is wrong.

    Events can be stored meanwhile: the check reads a snapshot. The rows of a sample are compared
    exactly. Where events have expired, the output shows the time from which a table could be
    compared. Of a cluster, each shard is compared.

    \b
    Example: alsobought check --sample 1%
             alsobought check --table co_baskets --table item_hours --json
    """
    from alsobought.counts.consistency import Checked, sample_of
    from alsobought.counts.consistency import check as check_tables
    from alsobought.counts.recompute import Slots
    from alsobought.service.ipc_client import reach_service
    from alsobought.storage.topology import each_shard

    slots, results = sample_of(sample) if sample else Slots(), list[Checked]()
    for name, one in each_shard(settings):
        service = reach_service(one, create=False)
        try:
            with ExitStack() as stack:
                progress = _bar(stack) if err.is_terminal else lambda *_: None
                folder = settings.home_folder / "sql" / "checks"
                results.append(
                    check_tables(service.warehouse, service.do, folder, slots, only=tables, progress=progress)
                )
        finally:
            service.close()
        if not as_json:
            print_heading(name)
            _show(results[-1])
    if as_json:
        print_json({"shards": results} if settings.whole_cluster else results[0])
    if any(one.wrong or one.events_without_category or one.purchases_not_refunded for one in results):
        sys.exit(1)


def _bar(stack: ExitStack) -> Progress:
    """A progress bar that starts once the total is known."""
    steps: list[Callable[[int], None]] = []

    def progress(done: int, total: int) -> None:
        if done:
            steps[0](1)
        else:
            steps.append(stack.enter_context(progress_bar(err, "Comparing", total, "steps")))

    return progress


def _show(checked: Checked) -> None:
    width = max((len(table.table) for table in checked.tables), default=0)
    for table in checked.tables:
        colour, word = ("red", "wrong") if table.wrong else ("green", "ok") if table.compared else ("yellow", "-")
        out.print(f"[{colour}]{word:5}[/] {table.table:{width}}  {escaped(_summary(table))}", soft_wrap=True)
        for row in table.worst:
            out.print(f"      {escaped(_difference(row))}", soft_wrap=True)
    rows = sum(table.rows for table in checked.tables)
    share = f"{checked.sample:.2%} of the keys, " if checked.sample < 1 else ""
    out.print(f"{share}{rows:,} rows in {checked.seconds:.1f} s")
    if checked.events_without_category:
        out.print(
            f"[red]wrong[/] {checked.events_without_category:,} events have no category, though their items have one:"
            " `alsobought rebuild user_categories` adds it",
            soft_wrap=True,
        )
    if checked.purchases_not_refunded:
        out.print(f"[red]wrong[/] {checked.purchases_not_refunded:,} purchases were refunded and count all the same")
    if checked.wrong:
        out.print("To correct them, run in this order:")
        for name in checked.wrong:
            out.print(f"  alsobought rebuild {name}")


def _summary(table: Comparison) -> str:
    text = f"{table.rows:,} rows" + (f", {table.wrong:,} of them wrong" if table.wrong else "")
    text = text if table.compared else "not compared"
    text += f", since {table.since:%Y-%m-%d %H:%M} UTC" if table.since else ""
    return text + (f": {table.note}" if table.note else "")


def _difference(row: Difference) -> str:
    stored = f"table has {_pairs(row.table)}" if row.table else "table has no such row"
    recomputed = f"events give {_pairs(row.events)}" if row.events else "events give none"
    return f"{_pairs(row.key)}: {stored}, {recomputed}"


def _pairs(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
