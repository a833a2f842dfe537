"""`POST /events/segment`, `/events/ga4` and `/events/snowplow`: take the calls of analytics tools.

Calls that are none of ours are skipped, and the answer is 2xx: a webhook sends all that its source has.
"""

from __future__ import annotations

from flask import Blueprint, Response, request

from alsobought.errors import AlsoboughtError, NotAuthenticated, TooLarge
from alsobought.events import Rejected
from alsobought.formats.reading import FORMATS, Reading, read_body
from alsobought.storage.identities import unmerged
from alsobought.web import request_body
from alsobought.web.access import principal
from alsobought.web.context import metrics, service, write_slots
from alsobought.web.guard import require_allowed_origin
from alsobought.web.intake_endpoints import accept_events, is_true, rules
from alsobought.web.webhook_secret import SIGNATURE, is_authentic

blueprint = Blueprint("webhooks", __name__)
MAX_MERGES = 100  # of guests that are not merged yet, in one body: each rewrites the rows of a user
MERGES_AT_ONCE = 5  # between two batches of events


@blueprint.route("/events/segment", methods=["POST"], defaults={"name": "segment"})
@blueprint.route("/events/ga4", methods=["POST"], defaults={"name": "ga4"})
@blueprint.route("/events/snowplow", methods=["POST"], defaults={"name": "snowplow"})
def post_webhook(name: str) -> Response:
    require_allowed_origin(service().settings, request)
    _require_secret()
    with write_slots().acquire(request_body.largest_size()):
        reading = read_body(request_body.read_body(), FORMATS[name], rules())
        merged = _merge(reading)
        _store_attributes(reading)
        return accept_events(reading, reading.rejected_texts(), merged)


def _require_secret() -> None:
    """Raises NotAuthenticated. A signature is that of the body as it was sent, which may be compressed."""
    secret = service().settings.webhook_secret
    if principal().kind == "secret":
        return  # a key with both scopes
    if secret and not is_authentic(secret, dict(request.headers), request.args, request.get_data()):
        raise NotAuthenticated(
            "the webhook's secret is missing or wrong",
            f"Sign the body with ALSOBOUGHT_WEBHOOK_SECRET ({SIGNATURE}, HMAC-SHA1 in hexadecimal),"
            " or send it as Authorization: Bearer …",
        )


def _store_attributes(reading: Reading) -> None:
    if reading.users:
        try:
            service().sink.accept(reading.users, wait=is_true("wait"))
        except AlsoboughtError:
            metrics().not_stored("user", len(reading.users))
            raise
        metrics().accepted("user", len(reading.users), 0)


def _merge(reading: Reading) -> int:
    """Merge the guests that the calls name, before their events are stored, and return the number of these calls.

    A call whose guest cannot be merged becomes a rejected one. Raises TooLarge, before anything is stored, for too many.
    """
    pairs = [(merge.guest_id, merge.user_id) for _, merge in reading.merges]
    new = unmerged(service().warehouse, pairs)
    if len(new) > MAX_MERGES:
        raise TooLarge(
            f"the body merges {len(new):,} guests; at most {MAX_MERGES} that are not merged yet are accepted",
            "Send it in parts",
        )
    problems: dict[tuple[str, str], str] = {}
    for start in range(0, len(new), MERGES_AT_ONCE):
        some = new[start : start + MERGES_AT_ONCE]
        problems |= zip(some, service().do("merge guests", some), strict=True)
    conflicts = [
        Rejected(index, problem)
        for (index, _), pair in zip(reading.merges, pairs, strict=True)
        if (problem := problems.get(pair))
    ]
    reading.rejected = sorted([*reading.rejected, *conflicts], key=lambda rejected: rejected.index)
    metrics().merged(sum(not problem for problem in problems.values()))
    return len(pairs) - len(conflicts)
