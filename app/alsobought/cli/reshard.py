"""`alsobought reshard`: redistribute the users of a cluster over another list of shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from alsobought.cli.audited import audited
from alsobought.console import err, out, progress_bar
from alsobought.errors import Unusable
from alsobought.redaction import is_server
from alsobought.settings import Settings, all_addresses

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
    migrate a new one with the new list. It gets the items and all else that every shard has whole. If the command is interrupted,
    run it again with the same lists: it continues. Counts of events that have expired stay where they are.

    \b
    Example: alsobought reshard --from http://ch1:8123 --to http://ch1:8123,http://ch2:8123
    """
    from alsobought.redaction import hide
    from alsobought.storage.clickhouse import open_warehouse
    from alsobought.storage.nodes import Nodes
    from alsobought.storage.topology import shard_settings, shards_of
    from alsobought.writer.resharding import Resharding
    from alsobought.writer.sequence import SeqClock
    from alsobought.writer.submission import utc_now
    from alsobought.writer.writer import Writer

    if not settings.cluster:
        raise Unusable("there is no cluster", "Set ALSOBOUGHT_CLUSTER and ALSOBOUGHT_SHARDS")
    hide(*_addresses(old), *_addresses(new))
    before, after = (msgspec.structs.replace(settings, shards=shards, dsn="", shard=0) for shards in (old, new))
    own = {shard.replicas[0]: shard_settings(of, shard) for of in (before, after) for shard in shards_of(of)}
    seq, writers, nodes = SeqClock(utc_now), dict[str, Writer](), Nodes(after)
    try:
        for first, one in own.items():
            writers[first] = Writer(open_warehouse(one, create=False), one, utc_now, seq)
        lists = [[writers[shard.replicas[0]] for shard in shards_of(of)] for of in (before, after)]
        resharding = Resharding(*lists)
        resharding.require_same_tables()
        for index, writer in enumerate(resharding.new):
            nodes.join(writer.warehouse, index)
        for writer in writers.values():
            writer.start()
        with audited(
            resharding.old[0].warehouse,
            "cluster.reshard",
            f"{len(resharding.old)} to {len(resharding.new)} shards",
        ):
            _run(resharding)
    finally:
        for writer in writers.values():
            writer.stop()
            writer.warehouse.close()
        nodes.close()


def _run(resharding: Resharding) -> None:
    resharding.resume()
    copied = resharding.copy_reference_tables()
    if len(resharding.new) > len(resharding.old):
        err.print(f"Every new shard has {', '.join(copied)}.", soft_wrap=True)
    with progress_bar(err, "Moving users", resharding.count_misplaced(), "events") as advance:
        users = resharding.move_users(advance)
    out.print(f"{users:,} users moved; every user is on the shard of {len(resharding.new)} that the new list gives it")


def _addresses(shards: str) -> list[str]:
    """The addresses of all nodes. Raises Unusable for what is none."""
    addresses = all_addresses(shards)
    if not all(map(is_server, addresses)):
        raise Unusable("a shard is not an address", "Give http(s)://user:password@host:port, separated by commas")
    return addresses
