"""`alsobought restore` and `alsobought verify`: backups put to use, or put to the proof."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.cli.backup import byte_bar, position
from alsobought.console import byte_size, err, escaped, late_bar, out, progress_bar
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.backup.manifest import Manifest
    from alsobought.backup.store import Store
    from alsobought.counts.consistency import Checked
    from alsobought.service.restored import Restored


@click.command()
@click.argument("source", required=False, metavar="[FROM]", default="")
@click.option(
    "--at", "identity", default="", metavar="ID", help="The backup, of `alsobought backup ls`; default: the newest."
)
@click.option(
    "--into",
    required=True,
    metavar="FOLDER",
    help="The new data folder, on a ClickHouse server the new database: empty or absent.",
)
@click.option(
    "--check/--no-check", "checks", default=True, help="Compare every count with the events afterwards; default: yes."
)
@click.pass_obj
def restore(settings: Settings, source: str, identity: str, into: str, checks: bool) -> None:
    """Restore a backup into a new data folder, or a new database of a ClickHouse server, and prove it.

    The hash of every file is compared, users who were forgotten after the backup are erased again,
    and every count is compared with a recompute from the events. Exit status 1 if a count is wrong.
    A killed run leaves a folder that nothing opens: run it again. FROM is ALSOBOUGHT_BACKUP_TO by
    default.

    \b
    Example: alsobought restore /mnt/backups --into data.restored
    """
    from alsobought.backup.retention import read_manifest
    from alsobought.backup.stores import open_store

    store = open_store(settings, source)
    manifest = read_manifest(store, identity)
    restored = _restore(settings, store, manifest, into, checks=checks)
    out.print(
        f"restored backup {manifest.id} into {into}: {restored.events:,} events, {byte_size(manifest.bytes)}",
        soft_wrap=True,
    )
    out.print(f"  {position(manifest)}", soft_wrap=True)
    if restored.erased:
        out.print(f"  {restored.erased:,} users who were forgotten after the backup are erased again")
    for guest in restored.guests:
        out.print(
            f"  [red]wrong[/] {escaped(guest)} was forgotten alone and is part of an account here: forget the account"
        )
    wrong = print_check(restored.checked)
    setting = "ALSOBOUGHT_DATABASE" if manifest.server else "ALSOBOUGHT_DATA"
    if settings.shard:
        out.print(f"Next: restore the other shards into {into} as well. Then, with {setting}={into} and all shards:")
        out.print(
            f"  alsobought migrate up && alsobought rebuild {' '.join(_serving_tables(settings))}", soft_wrap=True
        )
    else:
        out.print(f"Next: start the service with {setting}={into}", soft_wrap=True)
    if manifest.facts.kafka:
        out.print("  Kafka resumes at the offsets above; events that were posted without Kafka since then are lost")
    else:
        out.print("  events that were posted after the backup are lost")
    if wrong or restored.guests:
        sys.exit(1)


@click.command()
@click.argument("source", required=False, metavar="[FROM]", default="")
@click.option("--at", "identity", default="", metavar="ID", help="Only this backup; default: all.")
@click.option(
    "--full",
    is_flag=True,
    help="Also restore the newest into a temporary folder or database, and compare every count.",
)
@click.pass_obj
def verify(settings: Settings, source: str, identity: str, full: bool) -> None:
    """Verify backups: read every file and compare its hash. Exit status 1 if one is damaged.

    Damaged bytes are set aside, so that the next backup copies them again if the data folder still
    has them. --full is a restore drill, in a folder that is deleted afterwards. Of the backups of a
    ClickHouse server, only presence and size of the files are compared; --full restores the newest into
    a temporary database and has the server read all of it.

    \b
    Example: alsobought verify /mnt/backups --full
    """
    from alsobought.backup.restore import manifests_of, verify_bytes
    from alsobought.backup.stores import open_store

    store = open_store(settings, source)
    manifests = manifests_of(store, identity)
    damages = verify_bytes(store, manifests, byte_bar())
    for damage in damages:
        backups = ", ".join(damage.backups)
        out.print(f"[red]{damage.reason}[/] {escaped(damage.path)} of backup {backups}", soft_wrap=True)
    broken = {backup for damage in damages for backup in damage.backups}
    for manifest in manifests:
        word = "[red]broken[/]" if manifest.id in broken else "[green]ok[/]    "
        out.print(f"{word} {manifest.id:20} {manifest.file_count:,} files, {byte_size(manifest.bytes)}", soft_wrap=True)
    if damages:
        err.print("Take a new backup: it copies these bytes again, if the data folder still has them", soft_wrap=True)
        sys.exit(1)
    if not manifests:
        out.print(f"There are no backups in {store.name}.")
    elif full:
        _drill(settings, store, manifests[-1])


def _serving_tables(settings: Settings) -> list[str]:
    """The tables with counts of all shards: those of the backups may be of different moments."""
    from alsobought.storage.serving_tables import serving_tables

    return [table.name for table in serving_tables(settings.home_folder, settings.database)]


def _drill(settings: Settings, store: Store, manifest: Manifest) -> None:
    from alsobought.service.restored import drill_database

    with ExitStack() as stack:
        if manifest.server:
            into = stack.enter_context(drill_database(settings))
        else:
            into = str(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="alsobought-"))) / "data")
        restored = _restore(settings, store, manifest, into, checks=True)
        out.print(f"restored {manifest.id}: {restored.events:,} events")
        for part in restored.broken:
            out.print(f"  [red]broken[/] {escaped(part.message)}", soft_wrap=True)
    if print_check(restored.checked) or restored.broken:
        sys.exit(1)


def _restore(settings: Settings, store: Store, manifest: Manifest, into: str, *, checks: bool) -> Restored:
    """Into a folder, or a database of the server of ALSOBOUGHT_DSN."""
    from alsobought.backup.erasures import notes
    from alsobought.backup.restore import restore_files
    from alsobought.service.restored import finish_restore, restored_database, restored_folder
    from alsobought.storage.folder_lock import folder_of

    if folder_of(settings.warehouse_dsn):
        folder = Path(into).expanduser().resolve()
        restore_files(store, manifest, folder, byte_bar())
        there = restored_folder(settings, folder, manifest.facts.database)
    else:
        there = restored_database(settings, store, manifest, into, byte_bar())
    with ExitStack() as stack:
        progress = check_progress(stack) if checks else None
        return finish_restore(
            there, notes(store), partial(late_bar, err), progress, backup=manifest.id, of_shard=settings.shard > 0
        )


def check_progress(stack: ExitStack) -> Callable[[int, int], None]:
    """A progress bar on a terminal, which starts once the number of steps is known."""
    steps: list[Callable[[int], None]] = []

    def progress(done: int, total: int) -> None:
        if done and steps:
            steps[0](1)
        elif err.is_terminal:
            steps.append(stack.enter_context(progress_bar(err, "Comparing", total, "steps")))

    return progress


def print_check(checked: Checked | None) -> bool:
    """Prints the result in a line; true if anything is wrong."""
    from alsobought.service.restored import is_right

    if checked is None:
        out.print("  not compared: run `alsobought check`")
        return False
    rows = sum(table.rows for table in checked.tables)
    if is_right(checked):
        out.print(f"  [green]ok[/] all {rows:,} rows of the count tables equal a recompute, in {checked.seconds:.1f} s")
        return False
    names = ", ".join(checked.wrong) or "the events"
    out.print(
        f"  [red]wrong[/] {escaped(names)}: `alsobought check` has the rows",
        soft_wrap=True,
    )
    return True
