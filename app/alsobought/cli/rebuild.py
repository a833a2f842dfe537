"""`alsobought rebuild`: recompute count tables from the events, while the old ones stay in service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click
import msgspec

from alsobought.cli.audited import audited
from alsobought.console import err, out, print_heading, progress_bar
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.counts.rebuild import Rebuilt
    from alsobought.counts.rebuild_tasks import RebuildPlan


@click.command()
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Recompute only counts from this day on; for tables by month, the first day of a month.",
)
@click.pass_obj
def rebuild(settings: Settings, tables: tuple[str, ...], since: datetime | None) -> None:
    """Recompute count tables from the events.

    For a new view over old events, a changed view, or wrong counts. The old table stays in service,
    and events are stored, until the new one is complete; then the two are exchanged. After a killed
    run, continue where it stopped. A view that reads other tables, its histories, relies on them:
    if one is wrong, name it too; it is rebuilt first. Serving tables are made again from the count
    tables: those named, and those that read a rebuilt table. Of a cluster, each shard is rebuilt.

    \b
    Example: alsobought rebuild co_baskets item_totals --since 2026-01-01
    """
    from alsobought.storage.topology import each_shard

    for name, one in each_shard(settings):
        print_heading(name)
        _rebuild(one, tables, f"{since:%Y-%m-%d}" if since else "")


def _rebuild(settings: Settings, names: Sequence[str], since: str) -> None:
    from alsobought.counts.rebuild import rebuild as rebuild_table
    from alsobought.counts.rebuild_tasks import RebuildPlan
    from alsobought.service.ipc_client import reach_service
    from alsobought.service.maintenance import finish_serving_tables
    from alsobought.storage.serving_tables import serving_tables

    service = reach_service(settings, create=False)
    serving = {table.name for table in serving_tables(settings.home_folder, settings.database)}.intersection(names)
    counted = [name for name in names if name not in serving]
    try:
        with audited(service.warehouse, "counts.rebuild", " ".join(names), since=since):
            if events := service.do("add categories"):
                out.print(f"{events:,} events, stored before their items, got the categories of these")
            for plan in msgspec.convert(service.do("plan a rebuild", counted, since), list[RebuildPlan]):
                if note := _note(plan):
                    err.print(note, soft_wrap=True)
                done = rebuild_table(service, plan, lambda title, total: progress_bar(err, title, total, "events"))
                out.print(_summary(plan, done), soft_wrap=True)
            if serving:
                service.do("make serving tables", sorted(serving))
            finish_serving_tables(service.do, partial(progress_bar, err))
            for name in sorted(serving):
                out.print(f"{name}: made again from the count tables")
    finally:
        service.close()


def _note(plan: RebuildPlan) -> str:
    """The part of the table that is not recomputed, because events have expired."""
    if not plan.horizon:
        return ""
    if plan.since:
        part = f"{plan.table} is rebuilt from {plan.since} on, the first day whose events are complete"
    else:
        part = f"rows of {plan.table} that began earlier stay as they are"
    return f"Old events have expired: {part}."


def _summary(plan: RebuildPlan, done: Rebuilt) -> str:
    since = f" since {plan.since}" if plan.since else ""
    resumed = f", {done.resumed:,} of them before it was interrupted" if done.resumed else ""
    return f"{plan.table}: rebuilt{since} from {done.events:,} events in {done.seconds:.1f} s{resumed}"
