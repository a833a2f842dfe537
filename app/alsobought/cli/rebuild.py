"""`alsobought rebuild`: count tables made again from the events, while the old ones answer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click
import msgspec

from alsobought.console import err, out, progress_bar
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.counts.rebuild import Rebuilt, Wanted


@click.command()
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Make only what was counted from this day on again; of months it must be the first day.",
)
@click.pass_obj
def rebuild(settings: Settings, tables: tuple[str, ...], since: datetime | None) -> None:
    """Make count tables again from the events: for a new view over old events, a changed view, or counts that are wrong.

    The old table answers, and events are taken, until the new one is whole; then they are exchanged. A run that was killed goes
    on where it was. A view that reads other tables, its histories, trusts them: if one is wrong, name it too; it is made first.

    \b
    Example: alsobought rebuild co_baskets item_totals --since 2026-01-01
    """
    from alsobought.counts.rebuild import Wanted
    from alsobought.counts.rebuild import rebuild as rebuild_table
    from alsobought.service.ipc_client import reach_service

    shop = reach_service(settings, create=False)
    try:
        asked = f"{since:%Y-%m-%d}" if since else ""
        for wanted in msgspec.convert(shop.do("plan a rebuild", tables, asked), list[Wanted]):
            if note := _note(wanted):
                err.print(note, soft_wrap=True)
            done = rebuild_table(shop, wanted, lambda title, total: progress_bar(err, title, total, "events"))
            out.print(_told(wanted, done), soft_wrap=True)
    finally:
        shop.close()


def _note(wanted: Wanted) -> str:
    """What is not made again, since events expire."""
    if not wanted.horizon:
        return ""
    if wanted.since:
        since = f": {wanted.table} is made again from {wanted.since} on, the first day of which all are there"
    else:
        since = f": rows of {wanted.table} that begin before those that are there stay as they are"
    return f"Old events have expired{since}."


def _told(wanted: Wanted, done: Rebuilt) -> str:
    since = f" since {wanted.since}" if wanted.since else ""
    went_on = f", {done.went_on:,} of them before it was interrupted" if done.went_on else ""
    return f"{wanted.table}: rebuilt{since} from {done.events:,} events in {done.seconds:.1f} s{went_on}"
