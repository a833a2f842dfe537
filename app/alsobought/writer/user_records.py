"""Rows about users outside events and counts: their identities, recorded requests, and dead letters."""

from __future__ import annotations

from alsobought.storage.sql_text import quoted
from alsobought.writer.rewrite_context import RewriteContext, quoted_list

PARAMETERS = "JSONExtractKeysAndValues(parameters, 'Array(String)')"
REQUEST_NAMES_USER = f"arrayExists(parameter -> parameter.1 = 'user_id' and has(parameter.2, {{0}}), {PARAMETERS})"
"""The condition that a recorded request asked for this user."""
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
    """Records the users as forgotten or merged, with all guests that were merged into them before."""
    request, database = context.request, context.database
    guests = f"select guest_id from {database}.user_merges where user_id in ({quoted_list(request.users)})"
    at = quoted(f"{request.at:%Y-%m-%d %H:%M:%S.%f}"[:-3])
    if request.into:
        everyone = f"select arrayJoin([{quoted_list(request.users)}]) as guest_id union distinct {guests}"
        context.insert(f"{database}.user_merges", f"select guest_id, {quoted(request.into)}, {at} from ({everyone})")
    else:
        everyone = f"select arrayJoin([{quoted_list(request.users)}]) as user_id union distinct {guests}"
        context.insert(f"{database}.forgotten_users", f"select cityHash64(user_id), {at} from ({everyone})")
        context.delete("user_merges", f"{context.users_condition('user_id')} or {context.users_condition('guest_id')}")


def delete_traces(context: RewriteContext) -> None:
    """Deletes the requests that asked for the users, and their dead letters."""
    for user in context.request.users:
        context.delete("requests", REQUEST_NAMES_USER.format(quoted(user)))
        context.delete("dead_letters", LETTER_NAMES_USER.format(quoted(user)))
