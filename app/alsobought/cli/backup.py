"""`alsobought backup`: take a backup of an embedded warehouse, or list the backups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from alsobought.console import err, escaped, late_bar, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.backup.manifest import Manifest
    from alsobought.backup.take import ProgressBar


class _Group(click.Group):
    """`backup` and `backup FOLDER` are `backup take` and `backup take FOLDER`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["take", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group)
def backup() -> None:
    """Back up an embedded warehouse while it runs, or list the backups.

    `alsobought backup FOLDER` is short for `alsobought backup take FOLDER`.

    \b
    Example: alsobought backup take /mnt/backups
             alsobought backup ls /mnt/backups
    """


@backup.command()
@click.argument("to", required=False, metavar="[FOLDER]", default="")
@click.option(
    "--keep", type=click.IntRange(min=0), help="Keep so many backups, 0 for all; default: ALSOBOUGHT_BACKUP_KEEP."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def take(settings: Settings, to: str, keep: int | None, as_json: bool) -> None:
    """Take a backup: all events and counts as they are between two batches.

    Works beside a running service, whose writer pauses for some milliseconds. Copies only what no
    earlier backup in the folder has. FOLDER is ALSOBOUGHT_BACKUP_TO by default; choose another disk.

    \b
    Example: alsobought backup take /mnt/backups --keep 14
    """
    from alsobought.backup.stores import open_store
    from alsobought.backup.take import back_up, server_advice
    from alsobought.errors import Unusable
    from alsobought.service.ipc_client import reach_service
    from alsobought.storage.folder_lock import folder_of

    if folder_of(settings.warehouse_dsn) is None:
        raise Unusable("`alsobought backup` is for an embedded warehouse", server_advice(settings))
    store = open_store(settings, to, create=True)
    service = reach_service(settings, create=False)
    try:
        manifest = back_up(service, store, settings.backup_keep if keep is None else keep, byte_bar())
    finally:
        service.close()
    if as_json:
        print_json(_summary(manifest))
        return
    out.print(
        f"backup {manifest.id}: {manifest.facts.events:,} events, {size(manifest.bytes)} in {len(manifest.files):,} files,"
        f" of them {size(manifest.new_bytes)} new, in {manifest.seconds:.1f} s",
        soft_wrap=True,
    )
    out.print(f"  {position(manifest)}", soft_wrap=True)
    out.print(f"  the writer paused for {manifest.pause_seconds * 1000:,.0f} ms")


@backup.command()
@click.argument("source", required=False, metavar="[FOLDER]", default="")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ls(settings: Settings, source: str, as_json: bool) -> None:
    """List the backups, oldest first.

    \b
    Example: alsobought backup ls /mnt/backups
    """
    from alsobought.backup.stores import open_store
    from alsobought.backup.take import backup_ids, read_manifest
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
            out.print(
                f"{manifest.id:20} {manifest.facts.events:13,} events {size(manifest.bytes):>9}, {size(manifest.new_bytes):>9} new"
                f"  {position(manifest)}",
                soft_wrap=True,
            )
    if as_json:
        print_json(shown)
    elif not shown:
        out.print(f"There are no backups in {store.name}.")


def byte_bar() -> ProgressBar:
    return lambda title, total: late_bar(err, title, total, "bytes")


def size(number: int) -> str:
    """A number of bytes in a unit of its size.

    >>> size(0), size(65_432), size(1_234_567_890)
    ('0 B', '65 KB', '1.2 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if number >= factor:
            return f"{number / factor:,.0f} {unit}" if number >= 10 * factor else f"{number / factor:,.1f} {unit}"
    return f"{number} B"


def position(manifest: Manifest) -> str:
    facts = manifest.facts
    newest = f"{facts.newest_event_at:%Y-%m-%d %H:%M:%S} UTC" if facts.newest_event_at else ""
    text = f"up to the event stored at {newest}" if newest else "without events"
    offsets = ", ".join(f"{one.topic}/{one.partition} at {one.next_offset}" for one in facts.kafka)
    return f"{text}; Kafka {offsets}" if offsets else text


def _summary(manifest: Manifest) -> dict[str, Any]:
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(manifest)
    files, _, _ = fields.pop("files"), fields.pop("links"), fields.pop("folders")
    return fields | {"files": len(files), "bytes": manifest.bytes}
