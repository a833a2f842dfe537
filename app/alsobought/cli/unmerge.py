"""`alsobought unmerge`: undo the merge of a guest into an account."""

from __future__ import annotations

import click

from alsobought.cli.audited import audited
from alsobought.console import err, escaped, print_json
from alsobought.settings import Settings


@click.command()
@click.argument("guest_id")
@click.pass_obj
def unmerge(settings: Settings, guest_id: str) -> None:
    """Undo the merge of a guest into an account, and print what was moved as JSON.

    The guest's events, those from before the merge and those since, are the guest's again, and so are later ones; the account
    keeps its own. All counts are as if the guest had never been merged. Possible for ALSOBOUGHT_UNMERGE_DAYS (30) after the
    merge. An account that was merged takes its guests along.

    \b
    Example: alsobought unmerge session-9
             curl http://127.0.0.1:8080/users/unmerge -d '{"guest_id": "session-9"}'
    """
    from alsobought.service.ipc_client import reach_service
    from alsobought.storage.identities import user_key

    service = reach_service(settings, create=False)
    try:
        subject = f"user {user_key(service.warehouse, guest_id)}"
        moving = err.status("Moving the events of the guest back …")
        with moving, audited(service.warehouse, "user.unmerge", subject) as recorded:
            result = service.do("unmerge", guest_id)
            recorded["events"] = result["events"]
    finally:
        service.close()
    print_json({"guest_id": guest_id, **result})
    events, account = result["events"], result["user_id"]
    err.print(
        escaped(f"{events:,} event{'s' * (events != 1)} went from {account!r} back to {guest_id!r}."), soft_wrap=True
    )
    if expired := result.get("not_moved"):
        err.print(escaped(f"{expired}: what they counted stays with {account!r}."), soft_wrap=True)
