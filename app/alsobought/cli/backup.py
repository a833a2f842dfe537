"""`alsobought backup`: take a backup, or list the backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alsobought.console import byte_size, err, escaped, late_bar, out, print_heading, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.backup.manifest import Manifest
    from alsobought.counts.rebuild import ProgressBar


class _Group(click.Group):
    """`backup` and `backup PLACE` are `backup take` and `backup take PLACE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["take", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group)
def backup() -> None:
    """Back up the warehouse while the service runs, or list the backups.

    `alsobought backup PLACE` is short for `alsobought backup take PLACE`.

    \b
    Example: alsobought backup take /mnt/backups
             alsobought backup take s3://bucket/shop
             alsobought backup ls /mnt/backups
    """


@backup.command()
@click.argument("to", required=False, metavar="[PLACE]", default="")
@click.option(
    "--keep", type=click.IntRange(min=0), help="Keep so many backups, 0 for all; default: ALSOBOUGHT_BACKUP_KEEP."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def take(settings: Settings, to: str, keep: int | None, as_json: bool) -> None:
    """Take a backup: all events and counts as they are between two batches.

    Works beside a running service, whose writer pauses for some milliseconds. Copies only what no
    earlier backup in the same place has. PLACE is a folder, best on another disk, or s3://bucket/prefix;
    by default ALSOBOUGHT_BACKUP_TO. A ClickHouse server copies itself, to a folder of its machine or to
    the bucket; each shard of a cluster, to a folder of its own in there.

    \b
    Example: alsobought backup take /mnt/backups --keep 14
             alsobought backup take s3://bucket/shop
    """
    from alsobought.backup.stores import open_store
    from alsobought.backup.take import back_up
    from alsobought.service.ipc_client import reach_service
    from alsobought.storage.topology import each_shard

    manifests = []
    for name, one in each_shard(settings):
        store = open_store(one, to, create=True)
        service = reach_service(one, create=False)
        try:
            manifests.append(back_up(service, store, one.backup_keep if keep is None else keep, byte_bar()))
        finally:
            service.close()
        if not as_json:
            print_heading(name)
            _show(manifests[-1])
    if as_json:
        summaries = [_summary(manifest) for manifest in manifests]
        print_json({"shards": summaries} if settings.whole_cluster else summaries[0])


def _show(manifest: Manifest) -> None:
    out.print(
        f"backup {manifest.id}: {manifest.facts.events:,} events, {byte_size(manifest.bytes)} in {manifest.file_count:,} files,"
        f" of them {byte_size(manifest.new_bytes)} new, in {manifest.seconds:.1f} s",
        soft_wrap=True,
    )
    out.print(f"  {position(manifest)}", soft_wrap=True)
    out.print(f"  the writer paused for {manifest.pause_seconds * 1000:,.0f} ms")


@backup.command()
@click.argument("source", required=False, metavar="[PLACE]", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ls(settings: Settings, source: str, as_json: bool) -> None:
    """List the backups, oldest first.

    \b
    Example: alsobought backup ls /mnt/backups
    """
    from alsobought.backup.retention import backup_ids, read_manifest
    from alsobought.backup.stores import open_store
    from alsobought.errors import Unusable

    store, shown = open_store(settings, source), []
    for identity in backup_ids(store):
        try:
            manifest = read_manifest(store, identity)
        except Unusable as error:
            err.print(f"[red]damaged[/] {escaped(str(error))}", soft_wrap=True)
            continue
        shown.append(_summary(manifest))
        if not as_json:
            sizes = f"{byte_size(manifest.bytes):>9}, {byte_size(manifest.new_bytes):>9} new"
            out.print(
                f"{manifest.id:20} {manifest.facts.events:13,} events {sizes}  {position(manifest)}", soft_wrap=True
            )
    if as_json:
        print_json(shown)
    elif not shown:
        out.print(f"There are no backups in {store.name}.")


def byte_bar() -> ProgressBar:
    return lambda title, total: late_bar(err, title, total, "bytes")


def position(manifest: Manifest) -> str:
    facts = manifest.facts
    newest = f"{facts.newest_event_at:%Y-%m-%d %H:%M:%S} UTC" if facts.newest_event_at else ""
    text = f"up to the event stored at {newest}" if newest else "without events"
    offsets = ", ".join(f"{one.topic}/{one.partition} at {one.next_offset}" for one in facts.kafka)
    return f"{text}; Kafka {offsets}" if offsets else text


def _summary(manifest: Manifest) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(manifest)
    for name in ("files", "links", "folders", "server"):
        del fields[name]
    of_server = {"base": manifest.server.base} if manifest.server else {}
    return fields | {"files": manifest.file_count, "bytes": manifest.bytes} | of_server
