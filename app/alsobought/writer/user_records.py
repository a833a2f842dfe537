"""Rows about users outside events and counts: identities, attributes, recorded requests, and dead letters."""

from __future__ import annotations

from alsobought.storage.sql_text import quoted
from alsobought.writer.rewrite_context import RewriteContext, quoted_list
from alsobought.writer.rows import encode_lines
from alsobought.writer.user_rows import UserRow, merged_users, stored_users, unmerged_users

PARAMETERS = "JSONExtractKeysAndValues(parameters, 'Array(String)')"
REQUEST_NAMES_USER = (
    f"(unit = {{0}} or arrayExists(parameter -> parameter.1 = 'user_id' and has(parameter.2, {{0}}), {PARAMETERS}))"
)
"""The condition that a recorded request asked for this user, or drew a variant for it."""
MERGE_COLUMNS = "(guest_id, user_id, merged_at, merged_into, since)"
USER_FIELDS = (
    *("user_id", "session_id", "userId", "anonymousId", "previousId", "client_id", "app_instance_id"),
    *("domain_userid", "domain_sessionid"),
)
CALLS = "arrayConcat([body, JSONExtractRaw(body, 'detail')], JSONExtractArrayRaw(body, 'batch'))"
LETTER_NAMES_USER = (
    "arrayExists(call -> {0} in ("
    + ", ".join(f"JSONExtractString(call, '{name}')" for name in USER_FIELDS)
    + f"), {CALLS})"
)
"""The condition that a dead letter belongs to this user, as far as its body can be read: an event, or calls of any format."""


def record_identities(context: RewriteContext) -> None:
    """Records the users as forgotten or merged, with all guests that were merged into them before, or as no longer merged."""
    if context.request.guests:
        _record_unmerge(context)
    elif context.request.into:
        _record_merge(context)
    else:
        _record_erasure(context)


def _record_erasure(context: RewriteContext) -> None:
    users, database = quoted_list(context.request.users), context.database
    guests = f"select guest_id from {database}.user_merges where user_id in ({users})"
    everyone = f"select arrayJoin([{users}]) as user_id union distinct {guests}"
    at = _time(context)
    context.insert(f"{database}.forgotten_users", f"select cityHash64(user_id), {at} from ({everyone})")
    context.delete("user_merges", f"{context.users_condition('user_id')} or {context.users_condition('guest_id')}")


def _record_merge(context: RewriteContext) -> None:
    """The guests of the users keep what their own merges named, and when: each merge can be undone alone."""
    request, at = context.request, _time(context)
    since = at if request.merged_into else "toDateTime64(0, 3, 'UTC')"  # begun by a version without guest_id
    columns = f"{quoted(request.into)} as user_id, {at} as merged_at, {quoted(request.merged_into or request.into)} as merged_into"
    own = f"select arrayJoin([{quoted_list(request.users)}]) as guest_id, {columns}, {since} as since"
    context.insert(f"{context.database}.user_merges", own, MERGE_COLUMNS)
    _record_account(context, context.users_condition("user_id"))


def _record_unmerge(context: RewriteContext) -> None:
    """The other guests are those of the guest, as they were before."""
    request = context.request
    guests = f"{context.users_condition('user_id')} and guest_id in ({quoted_list(request.guests)})"
    context.delete("user_merges", f"{guests} and guest_id = {quoted(request.into)}")
    _record_account(context, guests)


def _record_account(context: RewriteContext, condition: str) -> None:
    """Makes `into` the account of these merged guests."""
    if not context.has_rows("user_merges", condition):
        return
    merges = f"{context.database}.user_merges"
    rows = f"select guest_id, {quoted(context.request.into)}, {_time(context)}, merged_into, since from {merges} final"
    context.insert(merges, f"{rows} where {condition}", MERGE_COLUMNS)
    context.delete("user_merges", condition)


def _time(context: RewriteContext) -> str:
    return quoted(f"{context.request.at:%Y-%m-%d %H:%M:%S.%f}"[:-3])


def carry_attributes(context: RewriteContext) -> None:
    """Gives the account what it lacks of a guest's attributes, takes that back, or deletes the attributes.

    Both rows of a merge are one block, and the guest's shows that it was stored: so it is safe to repeat.
    """
    request = context.request
    if request.kind == "forget":
        context.delete("users", context.users_condition("user_id"))
        return
    guests, accounts = [request.into], [*request.users, *request.holders]
    if not request.guests:
        guests, accounts = request.users, [request.into]
    for guest in guests:
        stored = stored_users(context.warehouse, [guest, *accounts])
        of_guest, *of_accounts = (stored.get(user, UserRow(user, removed=True)) for user in (guest, *accounts))
        if request.guests:
            rows = unmerged_users(of_guest, of_accounts, context.identity, request.at)
        else:
            rows = merged_users(of_guest, of_accounts[0], context.identity, request.at)
        if rows:
            context.warehouse.insert("users", encode_lines(rows))


def delete_traces(context: RewriteContext) -> None:
    """Deletes the requests that asked for the users, and their dead letters."""
    for user in context.request.users:
        context.delete("requests", REQUEST_NAMES_USER.format(quoted(user)))
        context.delete("dead_letters", LETTER_NAMES_USER.format(quoted(user)))
