"""`alsobought repair`: find damaged parts and mend them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from alsobought.cli.audited import audited
from alsobought.cli.restore import check_progress, print_check
from alsobought.console import err, escaped, late_bar, out
from alsobought.errors import Unusable, WarehouseFault
from alsobought.settings import Settings
from alsobought.storage.clickhouse import NOT_OPENED

if TYPE_CHECKING:
    from alsobought.service.ipc_client import RemoteService
    from alsobought.service.service import Service


@click.command()
@click.argument("source", required=False, metavar="[FROM]", default="")
@click.option("--dry-run", is_flag=True, help="Only show what is damaged, and what would be done.")
@click.option(
    "--check/--no-check", "checks", default=True, help="Compare every count with the events afterwards; default: yes."
)
@click.pass_obj
def repair(settings: Settings, source: str, dry_run: bool, checks: bool) -> None:
    """Find parts whose bytes are damaged, and mend their tables.

    Reads every part of an embedded warehouse and compares its checksums. Tables that are made from
    the events are rebuilt; parts of `events` and of other records are put back from the backups in
    FROM, by default ALSOBOUGHT_BACKUP_TO. Works beside a running service. Exit status 1 if anything
    is left.

    \b
    Example: alsobought repair /mnt/backups
    """
    from alsobought.backup.stores import open_store
    from alsobought.service.maintenance import finish_serving_tables
    from alsobought.service.mending import mend
    from alsobought.service.remedies import Remedies
    from alsobought.service.restored import checked_counts, is_right
    from alsobought.storage.folder_lock import folder_of
    from alsobought.storage.part_checks import check_parts

    if folder_of(settings.warehouse_dsn) is None:
        raise Unusable("`alsobought repair` is for an embedded warehouse", "Repair the server with its own tools")
    service, emptied = _opened(settings)
    try:
        if emptied:
            out.print("[red]broken[/] the engine did not open the serving tables; they are made again", soft_wrap=True)
            service.do("make serving tables", emptied)
            finish_serving_tables(service.do, partial(late_bar, err))
        with err.status("Reading every part …"):
            broken = sorted(check_parts(service.warehouse))
        if not broken:
            out.print("[green]ok[/] all parts are as they were written")
            return
        remedies = Remedies.of(service.warehouse, settings.home_folder)
        for part in broken:
            out.print(f"[red]broken[/] {escaped(part.message)}. {escaped(remedies.advice(part.table))}", soft_wrap=True)
        if dry_run:
            sys.exit(1)
        left = False
        tables = " ".join(sorted({part.table for part in broken}))
        with audited(service.warehouse, "repair", tables, parts=len(broken)) as recorded:
            for mended in mend(service, broken, lambda: open_store(settings, source), settings.home_folder, _bar):
                left |= bool(mended.left)
                word = "[red]left[/]  " if mended.left else "[green]mended[/]"
                out.print(f"{word} {escaped(mended.what)}: {escaped(mended.left or mended.how)}", soft_wrap=True)
            recorded["left"] = left
        checked = None
        if checks and not left:
            with ExitStack() as stack:
                checked = checked_counts(service.warehouse, service.do, settings.home_folder, check_progress(stack))
        if print_check(checked) or left or not is_right(checked):
            sys.exit(1)
        out.print("Take a backup now: older ones do not have these parts under their new names")
    finally:
        service.close()


def _opened(settings: Settings) -> tuple[Service | RemoteService, list[str]]:
    """The service, and the serving tables that had to be emptied before the engine opened the folder."""
    from alsobought.backup.repair import empty_serving_tables
    from alsobought.service.ipc_client import reach_service
    from alsobought.storage.folder_lock import claim, folder_of

    try:
        return reach_service(settings, create=False), []
    except WarehouseFault as error:
        folder = folder_of(settings.warehouse_dsn)
        if folder is None or NOT_OPENED not in error.message:
            raise
        claim(folder, create=False)  # nobody else has it
        emptied = empty_serving_tables(folder, settings.database)
        try:
            return reach_service(settings, create=False), emptied
        except WarehouseFault as again:
            raise Unusable(
                f"the engine does not open {folder}, and it is not for the serving tables",
                "Restore the newest backup: `alsobought restore --into FOLDER`",
            ) from again


def _bar(title: str, total: int) -> AbstractContextManager[Callable[[int], object]]:
    return late_bar(err, title, total, "steps")
