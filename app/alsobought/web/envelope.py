"""The body of `navigator.sendBeacon`, which sets no headers: `{"key": "ab_public_…", "events": [{…}]}`."""

from __future__ import annotations

import json

import msgspec
from flask import g, request

from alsobought.errors import BadRequest
from alsobought.web.request_body import read_body

KEY = "key"  # also the parameter of a URL
MAX_BYTES = 65_536  # a beacon has no more
EXAMPLE = 'Send {"key": "ab_public_…", "events": [{…}]}'


class Envelope(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    events: msgspec.Raw


def take_envelope() -> str:
    """The key of a body that has one, empty otherwise; `events_body` then returns the events in it. Raises BadRequest."""
    g.events_body = None
    length = request.content_length
    if length is None or length > MAX_BYTES:
        return ""
    body = read_body()
    if not body.lstrip().startswith(b"{") or b'"key"' not in body or len(body) > MAX_BYTES:
        return ""
    try:
        pairs = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        return ""  # lines, or no JSON: the endpoint reports it
    if not {"key", "events"} <= pairs.keys():
        return ""
    _refuse_repeated(body)
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"the body is invalid: {error}", EXAMPLE) from error
    g.events_body = bytes(envelope.events)
    return envelope.key


def _refuse_repeated(body: bytes) -> None:
    """Of two keys, one program would take the first and another the last. Raises BadRequest."""

    def check(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        for name in (KEY, "events"):
            if names.count(name) > 1:
                raise BadRequest(f"{name!r} occurs twice in the body", EXAMPLE)

    try:
        json.loads(body, object_pairs_hook=check)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is invalid: {error}", EXAMPLE) from error


def events_body() -> bytes:
    """The events of a post, without the envelope around them."""
    if "events_body" not in g:
        take_envelope()
    taken: bytes | None = g.get("events_body")
    return read_body() if taken is None else taken
