"""`alsobought reshard`: redistribute the users of a cluster over another list of shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from alsobought.cli.audited import audited
from alsobought.console import err, out, progress_bar
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.writer.resharding import Resharding


@click.command()
@click.option("--from", "old", required=True, metavar="DSN,DSN", help="The shards as they are, in their order.")
@click.option(
    "--to",
    "new",
    required=True,
    envvar="ALSOBOUGHT_SHARDS",
    metavar="DSN,DSN",
    help="The shards as they will be; default: ALSOBOUGHT_SHARDS.",
)
@click.pass_obj
def reshard(settings: Settings, old: str, new: str) -> None:
    """Move every user to the shard that the new list gives it.

    Stop whatever stores events first, and start it again with the new list. A shard is added or left out anywhere in the list;
    a new one must be migrated. It gets the items and all else that every shard has whole. If the command is interrupted, run it
    again with the same lists: it continues. Counts of events that have expired stay where they are.

    \b
    Example: alsobought reshard --from http://ch1:8123 --to http://ch1:8123,http://ch2:8123
    """
    from alsobought.redaction import hide, shown_address
    from alsobought.storage.clickhouse import open_warehouse
    from alsobought.writer.resharding import Resharding
    from alsobought.writer.sequence import SeqClock
    from alsobought.writer.submission import utc_now
    from alsobought.writer.writer import Writer

    dsns = {shown_address(dsn): dsn for dsn in (*_first_replicas(old), *_first_replicas(new))}
    hide(*dsns.values())
    seq, writers = SeqClock(utc_now), dict[str, Writer]()
    try:
        for address, dsn in dsns.items():
            own = msgspec.structs.replace(settings, dsn=dsn, reader_dsn="")
            writers[address] = Writer(open_warehouse(own, create=False), own, utc_now, seq)
        resharding = Resharding(
            *([writers[shown_address(dsn)] for dsn in _first_replicas(dsns)] for dsns in (old, new))
        )
        resharding.require_same_tables()
        for writer in writers.values():
            writer.start()
        first = resharding.old[0].warehouse
        with audited(first, "cluster.reshard", f"{len(resharding.old)} to {len(resharding.new)} shards"):
            _run(resharding)
    finally:
        for writer in writers.values():
            writer.stop()
            writer.warehouse.close()


def _run(resharding: Resharding) -> None:
    resharding.resume()
    copied = resharding.copy_reference_tables()
    if len(resharding.new) > len(resharding.old):
        err.print(f"Every new shard has {', '.join(copied)}.", soft_wrap=True)
    with progress_bar(err, "Moving users", resharding.count_misplaced(), "events") as advance:
        users = resharding.move_users(advance)
    out.print(f"{users:,} users moved; every user is on the shard of {len(resharding.new)} that the new list gives it")


def _first_replicas(shards: str) -> list[str]:
    """The address of one server of each shard: the replicas of a shard have the same rows.

    >>> _first_replicas("http://a:8123|http://b:8123, http://c:8123")
    ['http://a:8123', 'http://c:8123']
    """
    dsns = [shard.split("|")[0].strip() for shard in shards.split(",") if shard.strip()]
    if not all(dsn.startswith(("http://", "https://")) for dsn in dsns):
        raise Unusable("a shard is not an address", "Give http(s)://user:password@host:port, separated by commas")
    return dsns
