"""Merge a guest into an account, and undo that; `writer.user_rewrite` rewrites the rows.

A guest's events keep the guest's id as `guest_id`, so that a merge can be undone: also one of an account that had guests of its
own, which it takes along, and one of a guest whose account was merged itself later. On the writer's thread
(`service.maintenance`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from alsobought.errors import BadRequest
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.placeholders import FILE
from alsobought.privacy.erasure import rewrite
from alsobought.settings import Settings
from alsobought.storage.identities import Merge, accounts_of, merges_into
from alsobought.storage.retention import expired_before, horizon
from alsobought.writer.rewrite_context import UserRewrite
from alsobought.writer.writer import Writer


def merge(writer: Writer, guest_id: str, user_id: str) -> dict[str, Any]:
    """Moves a guest's events, past and future, to an account. Idempotent.

    Raises BadRequest if one of them is a placeholder, both are the same, or the guest was merged into another account.
    """
    warehouse, now = writer.warehouse, writer.clock()
    accounts = accounts_of(warehouse, [guest_id, user_id])
    account = account_for_merge(writer.settings, accounts, guest_id, user_id)
    if guest_id in accounts:
        return {"user_id": account, "events": 0}
    since = horizon(warehouse, writer.settings, now)
    writer.corrections.refunds.reopen()
    parts = rewrite(writer, UserRewrite([guest_id], account, now, since, merged_into=user_id))
    writer.corrections.refunds.note_users([account])  # the refunds of one may be for purchases of the other
    writer.corrections.apply_refunds()
    return {"user_id": account, "events": parts[0].rows_before}


def account_for_merge(settings: Settings, accounts: Mapping[str, str], guest_id: str, user_id: str) -> str:
    """The account to merge a guest into, or into which it was merged before; `accounts` has those of merged users.

    Raises BadRequest for what `merge` refuses.
    """
    placeholders = placeholders_of(settings.home_folder)
    for field, user in (("guest_id", guest_id), ("user_id", user_id)):
        if problem := placeholders.user_problem(field, user):
            raise BadRequest(problem, f"Merge once both ids are known; {FILE} lists the placeholders")
    account = accounts.get(user_id, user_id)
    if guest_id == account:
        relation = "is" if guest_id == user_id else "was merged into"
        raise BadRequest(f"{user_id!r} {relation} {guest_id!r}", "Name a guest and another user")
    if accounts.get(guest_id, account) != account:
        hint = f"Merge that account if it is the same user; if not, unmerge {guest_id!r} first (POST /users/unmerge)"
        raise BadRequest(f"{guest_id!r} was merged into {accounts[guest_id]!r}", hint)
    return account


def unmerge(writer: Writer, guest_id: str) -> dict[str, Any]:
    """Gives a guest its events back, those from before the merge and those since, and keeps later ones with it.

    Raises BadRequest if it is not merged, or was merged too long ago or by a version that did not record whose its events were.
    """
    warehouse, now = writer.warehouse, writer.clock()
    account = accounts_of(warehouse, [guest_id]).get(guest_id)
    if account is None:
        raise not_merged(guest_id)
    merges = {merge.guest_id: merge for merge in merges_into(warehouse, account)}
    own, days = merges[guest_id], timedelta(days=writer.settings.unmerge_days)
    if own.since.timestamp() == 0:
        hint = "Which events came from the guest was not recorded then; `alsobought forget` erases the account with its guests"
        raise BadRequest(f"{guest_id!r} was merged into {account!r} by an older version: that cannot be undone", hint)
    if own.since < now - days:
        hint = "ALSOBOUGHT_UNMERGE_DAYS sets how long a merge can be undone"
        message = f"{guest_id!r} was merged into {account!r} on {own.since:%Y-%m-%d}, more than {days.days} days ago"
        raise BadRequest(message, hint)
    since = horizon(warehouse, writer.settings, now)
    writer.corrections.refunds.reopen()
    guests, holders = with_guests(guest_id, merges), accounts_between(guest_id, merges)
    parts = rewrite(writer, UserRewrite([account], guest_id, now, since, guests=guests, holders=holders))
    writer.corrections.refunds.note_users([account, guest_id])  # no longer for purchases of the other
    writer.corrections.apply_refunds()
    result = {"user_id": account, "events": parts[0].rows_before}
    return {**result, "not_moved": expired_before(since)} if since else result


def not_merged(guest_id: str) -> BadRequest:
    hint = "`alsobought export ACCOUNT` lists the guests of an account; one that was forgotten has none"
    return BadRequest(f"{guest_id!r} is not merged into an account", hint)


def with_guests(user: str, merges: dict[str, Merge]) -> list[str]:
    """The user, the guests that were merged into it, their own, and so on."""
    users = [user]
    for one in users:  # grows
        users += [
            merge.guest_id for merge in merges.values() if merge.merged_into == one and merge.guest_id not in users
        ]
    return users


def accounts_between(guest_id: str, merges: dict[str, Merge]) -> list[str]:
    """The accounts into which the guest, and then each of them, was merged, without the one that is left."""
    between: list[str] = []
    while (guest_id := merges[guest_id].merged_into) in merges and guest_id not in between:
        between.append(guest_id)
    return between
