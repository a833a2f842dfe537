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
import msgspec

from alsobought.cli.backup import byte_bar, position, size
from alsobought.console import err, escaped, late_bar, out, progress_bar
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
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The new data folder: empty or absent.",
)
@click.option(
    "--check/--no-check", "checks", default=True, help="Compare every count with the events afterwards; default: yes."
)
@click.pass_obj
def restore(settings: Settings, source: str, identity: str, into: Path, checks: bool) -> None:
    """Restore a backup into a new data folder, and prove it.

    The hash of every file is compared, users who were forgotten after the backup are erased again,
    and every count is compared with a recompute from the events. Exit status 1 if a count is wrong.
    A killed run leaves a folder that nothing opens: run it again. FROM is ALSOBOUGHT_BACKUP_TO by
    default.

    \b
    Example: alsobought restore /mnt/backups --into data.restored
    """
    from alsobought.backup.stores import open_store
    from alsobought.backup.take import read_manifest

    store = open_store(settings, source)
    manifest = read_manifest(store, identity)
    folder = into.expanduser().resolve()
    restored = _restore(settings, store, manifest, folder, checks=checks)
    out.print(
        f"restored backup {manifest.id} into {into}: {restored.events:,} events, {size(manifest.bytes)}", soft_wrap=True
    )
    out.print(f"  {position(manifest)}", soft_wrap=True)
    if restored.erased:
        out.print(f"  {restored.erased:,} users who were forgotten after the backup are erased again")
    for guest in restored.guests:
        out.print(
            f"  [red]wrong[/] {escaped(guest)} was forgotten alone and is part of an account here: forget the account"
        )
    wrong = print_check(restored.checked)
    out.print(f"Next: start the service with ALSOBOUGHT_DATA={into}", soft_wrap=True)
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
    help="Also restore the newest into a temporary folder, and compare every count.",
)
@click.pass_obj
def verify(settings: Settings, source: str, identity: str, full: bool) -> None:
    """Verify backups: read every file and compare its hash. Exit status 1 if one is damaged.

    Damaged bytes are set aside, so that the next backup copies them again if the data folder still
    has them. --full is a restore drill, in a folder that is deleted afterwards.

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
        out.print(f"{word} {manifest.id:20} {len(manifest.files):,} files, {size(manifest.bytes)}", soft_wrap=True)
    if damages:
        err.print("Take a new backup: it copies these bytes again, if the data folder still has them", soft_wrap=True)
        sys.exit(1)
    if not manifests:
        out.print(f"There are no backups in {store.name}.")
    elif full:
        _drill(settings, store, manifests[-1])


def _drill(settings: Settings, store: Store, manifest: Manifest) -> None:
    with tempfile.TemporaryDirectory(prefix="alsobought-") as folder:
        restored = _restore(settings, store, manifest, Path(folder) / "data", checks=True)
    out.print(f"restored {manifest.id}: {restored.events:,} events")
    if print_check(restored.checked):
        sys.exit(1)


def _restore(settings: Settings, store: Store, manifest: Manifest, folder: Path, *, checks: bool) -> Restored:
    from alsobought.backup.erasures import notes
    from alsobought.backup.restore import restore_files
    from alsobought.service.restored import finish_restore

    restore_files(store, manifest, folder, byte_bar())
    settings = msgspec.structs.replace(settings, database=manifest.facts.database)
    with ExitStack() as stack:
        progress = check_progress(stack) if checks else None
        return finish_restore(settings, folder, notes(store), partial(late_bar, err), progress, backup=manifest.id)


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
