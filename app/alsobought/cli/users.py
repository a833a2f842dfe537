"""`alsobought forget` and `alsobought export`: what is stored about one person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from alsobought.console import err, escaped, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.privacy.erasure import Receipt


@click.command()
@click.argument("user_id", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--verify", type=click.Path(path_type=Path), help="Prove a receipt again: is nothing of them there?")
@click.pass_obj
def forget(settings: Settings, user_id: str | None, dry_run: bool, verify: Path | None) -> None:
    """Take a user out of events and of every table, and print the receipt as JSON. There is no way back.

    All counts are afterwards as if the user had never been. What still comes of them from before, out of Kafka or a file,
    counts for nothing; what they do from now on counts.

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
    from alsobought.service.ipc_client import reach_service

    shop = reach_service(settings, create=False)  # nobody is forgotten by making an empty warehouse
    try:
        with err.status("Taking them out of every table …"):
            receipt = shop.do("forget", user_id)
    finally:
        shop.close()
    print_json(receipt)
    events = receipt["tables"][0]["rows_before"]
    err.print(
        f"{events:,} events, and all that was made of them, are gone." if events else "Nothing was there of them."
    )


def _dry_run(settings: Settings, user_id: str) -> None:
    from alsobought.privacy.export import export
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        for table, rows in export(warehouse, user_id):
            out.print(f"{len(rows):9,} rows of {table}")
    finally:
        warehouse.close()
    out.print("and their part in every shared count would go. Nothing was changed.")


def _verify(settings: Settings, path: Path) -> None:
    from alsobought.privacy.erasure import verify
    from alsobought.service.ipc_client import reach_warehouse

    receipt = _receipt(path)
    warehouse = reach_warehouse(settings, create=False)
    try:
        found = verify(warehouse, receipt)
    finally:
        warehouse.close()
    left = {table: rows for table, rows in found.left.items() if rows}
    faults = [f"{rows:,} rows of {table} are there" for table, rows in left.items()]
    if not found.sealed:
        faults.insert(0, "the receipt was changed since it was written")
    if not found.noted:
        faults.append("this warehouse does not know that they were forgotten")
    for fault in faults:
        out.print(f"[red]wrong[/] {escaped(fault)}", soft_wrap=True)
    if faults:
        sys.exit(1)
    out.print(f"[green]ok[/]    nothing of them is there from before {receipt.forgotten_at}")
    if found.since:
        out.print(f"      they came back: {found.since:,} events are newer")
    out.print("      `alsobought check` proves that no count holds a part of them")


def _receipt(path: Path) -> Receipt:
    from alsobought.privacy.erasure import Receipt

    try:
        return msgspec.json.decode(path.read_bytes(), type=Receipt)
    except (OSError, msgspec.MsgspecError) as error:
        raise Unusable(f"{path} cannot be read: {error}", "Give what `alsobought forget` printed") from error


@click.command()
@click.argument("user_id")
@click.pass_obj
def export(settings: Settings, user_id: str) -> None:
    """Print all that is stored about a user, as JSON: to give to that person. Exit status 1 if there is nothing.

    \b
    Example: alsobought export ada > ada.json
    """
    from alsobought.privacy.export import export as exported
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        tables = dict(exported(warehouse, user_id))
    finally:
        warehouse.close()
    print_json({"user_id": user_id, **tables})
    if not any(tables.values()):
        err.print(f"Nothing is stored about {escaped(repr(user_id))}.")
        sys.exit(1)
