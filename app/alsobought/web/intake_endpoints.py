"""`POST /events`, `/users/merge` and `/users/unmerge`: validate what a shop sends, and store it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from flask import Blueprint, Response, g, request

from alsobought.errors import AlsoboughtError, BadEvents, BadItems, BadRequest, BadUsers, Detail
from alsobought.events import Id, Rejected, Rules, split_objects
from alsobought.formats.reading import Reading, read_any
from alsobought.pipes.intake_rules import intake_rules
from alsobought.service.sinks import Accepted, topic_of
from alsobought.storage.dropped_events import dropped_events
from alsobought.web import audit
from alsobought.web.access import principal
from alsobought.web.context import json_response, metrics, service, write_slots
from alsobought.web.envelope import events_body
from alsobought.web.guard import require_allowed_origin
from alsobought.web.own_guests import require_own_guest
from alsobought.web.request_body import largest_size, read_object
from alsobought.writer.submission import Kind, SentRows, utc_now

blueprint = Blueprint("intake", __name__)
MAX_LISTED = 100  # rejected objects in a response
MAX_NAMES = 10  # of skipped calls, and of bots, in a response
ErrorType = type[BadEvents] | type[BadItems] | type[BadUsers]
KIND_OF_ERROR: Mapping[ErrorType, Kind] = {BadEvents: "event", BadItems: "item", BadUsers: "user"}
Texts = Sequence[bytes] | Mapping[int, bytes]  # of objects, by their index
NOT_VISIBLE_YET = "They are in the log and will be stored: do not send them again"


@blueprint.route("/events", methods=["POST"])
def post_events() -> Response:
    require_allowed_origin(service().settings, request)
    with write_slots().acquire(largest_size()):
        objects = list(split_objects(events_body()))
        return accept_events(read_any(objects, rules()), objects)


def accept_events(reading: Reading, objects: Texts, merged: int | None = None) -> Response:
    """Store the events of a body. `merged` is the number of calls that merge a guest, None where none may."""
    metrics().skipped(reading.skipped)
    counts: dict[str, Any] = {} if merged is None else {"skipped": len(reading.skipped), "merged": merged}
    if reading.users:
        counts["users"] = len(reading.users)
    if reading.skipped:
        names = list(dict.fromkeys(call.name for call in reading.skipped))
        counts |= {"skipped": len(reading.skipped), "skipped_calls": names[:MAX_NAMES]}
    if reading.dropped:
        bots = [dropped.bot for dropped in reading.dropped]
        metrics().dropped(bots)
        for row in dropped_events(bots, utc_now()):
            service().drop_log.add(row)
        counts |= {"dropped": len(bots), "dropped_bots": list(dict.fromkeys(bots))[:MAX_NAMES]}
    if reading.events or not (reading.skipped or reading.dropped or merged or reading.users):
        return accept(reading.events, reading.rejected, BadEvents, objects, counts)
    _keep_rejected("event", reading.rejected, objects)
    status = 202 if reading.dropped and not is_true("wait") else 200
    return json_response(_receipt(Accepted(0, None, visible=True), 0, reading.rejected, counts), status)


def rules() -> Rules:
    by = intake_rules(service().settings, service().clock(), request.headers.get("User-Agent", ""))
    own_user = principal().fixed.get("user_id", "")
    return dataclasses.replace(by, own_user=own_user) if own_user else by


def accept(
    good: SentRows,
    rejected: list[Rejected],
    error_type: ErrorType,
    objects: Texts = (),
    counts: Mapping[str, Any] = MappingProxyType({}),
) -> Response:
    """Store the good rows and list the rejected ones, of which `objects` has the texts by their index.

    Responds with 202 once the rows are durable, or with ?wait=true with 200 once they are visible.
    """
    kind, wait = KIND_OF_ERROR[error_type], is_true("wait")
    _keep_rejected(kind, rejected, objects)
    if not good:
        if not rejected:
            raise BadRequest("the body is empty", f"Send one {kind}, an array of them, or one per line")
        details = tuple(Detail(f"[{r.index}]", r.problem) for r in rejected[:MAX_LISTED])
        count = f" of {len(rejected):,}" if len(rejected) > 1 else ""
        raise error_type(f"no {kind}{count} could be accepted: {rejected[0].problem}", details=details)
    try:
        accepted = service().sink.accept(good, wait=wait, size=g.get("body_size", 0))
    except AlsoboughtError:
        metrics().not_stored(kind, len(good))
        raise
    metrics().accepted(kind, accepted.rows, accepted.duplicates or 0)
    status = 200 if wait and accepted.visible else 202
    return json_response(_receipt(accepted, len(good), rejected, counts), status)


def _keep_rejected(kind: Kind, rejected: list[Rejected], objects: Texts) -> None:
    metrics().rejected(kind, [one.problem for one in rejected])
    if rejected and objects:
        service().reject_log.add(topic_of(service().settings, kind), rejected, objects)


def is_true(name: str) -> bool:
    """A switch of the query string. Raises BadRequest."""
    value = request.args.get(name, "false")
    if value.lower() not in ("true", "1", "false", "0"):
        raise BadRequest(f"{name}: {value[:40]!r} is neither true nor false", f"Write ?{name}=true, or leave it out")
    return value.lower() in ("true", "1")


def _receipt(accepted: Accepted, rows: int, rejected: list[Rejected], counts: Mapping[str, Any]) -> dict[str, Any]:
    """`duplicates` is absent with Kafka, `visible` is present only after a wait in vain."""
    body: dict[str, Any] = {"accepted": rows, **counts, "rejected": rejected[:MAX_LISTED]}
    body["rejected_total"] = len(rejected)
    if accepted.duplicates is not None:
        body |= {"duplicates": accepted.duplicates, "repeats": accepted.duplicates}  # `repeats` is the old name
    if is_true("wait") and not accepted.visible:
        body |= {"visible": False, "hint": NOT_VISIBLE_YET}
    return body | {"request_id": g.request_id}


class Merge(msgspec.Struct, forbid_unknown_fields=True):
    guest_id: Id
    user_id: Id


class Unmerge(msgspec.Struct, forbid_unknown_fields=True):
    guest_id: Id


@blueprint.route("/users/merge", methods=["POST"])
def merge_users() -> Response:
    """Assign a guest's past and future events to an account. Idempotent."""
    require_allowed_origin(service().settings, request)
    merge = read_object(Merge, '{"guest_id": "…", "user_id": "…"}')
    if principal().kind == "token":
        require_own_guest(merge.guest_id, merge.user_id)
    return _rewrite_users("merge", guest_id=merge.guest_id, user_id=merge.user_id)


@blueprint.route("/users/unmerge", methods=["POST"])
def unmerge_users() -> Response:
    """Undo a merge: give a guest its past and future events back."""
    require_allowed_origin(service().settings, request)
    return _rewrite_users("unmerge", guest_id=read_object(Unmerge, '{"guest_id": "…"}').guest_id)


def _rewrite_users(task: str, **users: str) -> Response:
    for name, value in users.items():
        if "\0" in value:
            raise BadRequest(f"{name}: holds a NUL character", "Send the id that the events have")
    subject = " into ".join(map(audit.user, users.values()))
    with write_slots().acquire(), audit.recorded(f"user.{task}", subject) as recorded:
        result = service().do(task, *users.values())
        recorded["events"] = result["events"]
    return json_response({"guest_id": users["guest_id"], **result, "request_id": g.request_id})
