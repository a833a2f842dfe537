"""`alsobought export`: everything that is stored about one user."""

from __future__ import annotations

import sys

import click

from alsobought.cli.audited import audited
from alsobought.console import err, escaped, print_json
from alsobought.settings import Settings


@click.command()
@click.argument("user_id")
@click.pass_obj
def export(settings: Settings, user_id: str) -> None:
    """Print everything that is stored about a user, as JSON, to be given to that person.

    Exit status 1 if there is nothing.

    \b
    Example: alsobought export ada > ada.json
    """
    from alsobought.privacy.export import export as export_user
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.storage.identities import user_key

    warehouse = reach_warehouse(settings, create=False)
    try:
        with audited(warehouse, "user.export", f"user {user_key(warehouse, user_id)}"):
            tables = dict(export_user(warehouse, user_id))
    finally:
        warehouse.close()
    print_json({"user_id": user_id, **tables})
    if not any(tables.values()):
        err.print(f"Nothing is stored about {escaped(repr(user_id))}.")
        sys.exit(1)
