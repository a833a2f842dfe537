"""`alsobought forget`: erase a user from every table, and verify a receipt."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from alsobought.cli.audited import audited
from alsobought.console import err, escaped, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.backup.erasures import HeldBy
    from alsobought.privacy.erasure import Receipt
    from alsobought.storage.warehouse import Warehouse


@click.command()
@click.argument("user_id", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and change nothing.")
@click.option("--verify", type=click.Path(path_type=Path), help="Check a receipt: is anything of the user left?")
@click.pass_obj
def forget(settings: Settings, user_id: str | None, dry_run: bool, verify: Path | None) -> None:
    """Erase a user from events and from every table, and print the receipt as JSON.

    This cannot be undone. Afterwards all counts are as if the user had never existed. Older events of the user that still
    arrive, from Kafka or a file, are dropped, and so are older attributes; newer ones count. The receipt names the backups in
    ALSOBOUGHT_BACKUP_TO that still hold the user, and until when; restoring one erases the user again. It also names what
    erasing does not reach, with the days after which that is deleted.

    \b
    Example: alsobought forget ada > receipt.json
             alsobought forget --verify receipt.json
    """
    if (user_id is None) == (verify is None):
        raise Unusable("there is no user to forget", "Name one: `alsobought forget ada`, or a receipt with --verify")
    if verify:
        _verify(settings, verify)
    elif dry_run:
        _dry_run(settings, str(user_id))
    else:
        _forget(settings, str(user_id))


def _forget(settings: Settings, user_id: str) -> None:
    from alsobought.privacy.reach import not_reached
    from alsobought.service.ipc_client import reach_service
    from alsobought.storage.identities import user_key

    service = reach_service(settings, create=False)  # erasing must not create an empty warehouse
    try:
        subject = f"user {user_key(service.warehouse, user_id)}"
        with err.status("Erasing the user from every table …"), audited(service.warehouse, "user.forget", subject):
            receipt = service.do("forget", user_id)
        held = _note_beside_backups(settings, service.warehouse, receipt["forgotten_at"])
    finally:
        service.close()
    left = not_reached(settings)
    more = {"backups": msgspec.to_builtins(held)} if held else {}
    print_json(receipt | more | {"not_reached": msgspec.to_builtins(left)})
    rows = {table["table"]: table["rows_before"] for table in receipt["tables"]}
    deleted = f"{rows['events']:,} events and their part in every count are deleted" if rows["events"] else ""
    if rows["users"]:
        deleted += ", and the attributes too" if deleted else "The attributes are deleted; there were no events"
    err.print(f"{deleted}." if deleted else "There was nothing to delete.")
    if held and held.backups:
        err.print(
            f"{len(held.backups)} backups in {held.to} hold the user {held.until}; a restore erases the user again."
        )
    for place in left:
        err.print(f"Not reached: {place.what}, {place.until}.", soft_wrap=True)


def _note_beside_backups(settings: Settings, warehouse: Warehouse, forgotten_at: str) -> HeldBy | None:
    """Leaves a note beside the backups, and returns which of them hold the user; None without backups."""
    from alsobought.backup.erasures import HeldBy, held_by, note, recorded_erasures
    from alsobought.backup.restore import manifests_of
    from alsobought.backup.stores import open_store
    from alsobought.storage.topology import each_shard

    if not settings.backup_to:
        return None
    at, held = datetime.fromisoformat(forgotten_at), list[HeldBy]()
    try:
        for _, one in each_shard(settings):
            store = open_store(one, create=True)
            note(store, recorded_erasures(warehouse))
            held.append(held_by(store, manifests_of(store), at, one))
    except Unusable as error:
        err.print(f"[yellow]warning:[/] the backups do not know of this: {escaped(str(error))}", soft_wrap=True)
        err.print("The next backup notes it; until then, a restore brings the user back")
        return None
    return max(held, key=lambda one: len(one.backups))


def _dry_run(settings: Settings, user_id: str) -> None:
    from alsobought.privacy.export import export
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        for table, rows in export(warehouse, user_id):
            out.print(f"{len(rows):9,} rows of {table}")
    finally:
        warehouse.close()
    out.print("and their part in every shared count would be deleted. Nothing was changed.")


def _verify(settings: Settings, path: Path) -> None:
    from alsobought.privacy.erasure import verify
    from alsobought.service.ipc_client import reach_warehouse

    receipt = _receipt(path)
    warehouse = reach_warehouse(settings, create=False)
    try:
        verification = verify(warehouse, receipt, settings.home_folder)
    finally:
        warehouse.close()
    faults = [f"{rows:,} rows of {table} are left" for table, rows in verification.remaining.items() if rows]
    if not verification.sealed:
        faults.insert(0, "the receipt was altered")
    if not verification.recorded:
        faults.append("this warehouse has no record of the erasure")
    for fault in faults:
        out.print(f"[red]wrong[/] {escaped(fault)}", soft_wrap=True)
    if faults:
        sys.exit(1)
    out.print(f"[green]ok[/]    nothing from before {receipt.forgotten_at} is left")
    if verification.since:
        out.print(f"      the user returned: {verification.since:,} events are newer")
    out.print("      `alsobought check` proves that no count contains them")


def _receipt(path: Path) -> Receipt:
    from alsobought.privacy.erasure import Receipt

    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.MsgspecError) as error:
        raise Unusable(f"{path} cannot be read: {error}", "Give the output of `alsobought forget`") from error
