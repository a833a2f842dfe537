"""Read request bodies: the complete bytes, parameters, or one JSON object of a known type."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from alsobought.access.credentials import PUBLIC, SECRET
from alsobought.access.tokens import is_token
from alsobought.errors import BadRequest, NotAuthenticated, TooLarge
from alsobought.events import readable_problem
from alsobought.pipes.parameters import FRESH, Listed, values
from alsobought.web.compression import unpacked
from alsobought.web.context import service

T = TypeVar("T")


def read_body() -> bytes:
    """The complete body, unpacked; an incomplete one raises BadRequest, so that no part of it is stored.

    Raises TooLarge, UnsupportedEncoding, and NotAuthenticated for a secret key, which would be stored with what is rejected.
    """
    limit = service().settings.max_body_bytes
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise
    except Exception as error:  # the server reads the connection here, and raises errors of its own
        raise BadRequest("the body is incomplete or its chunks are invalid", "Send all of it again") from error
    if request.content_length is None and len(body) >= limit:  # a chunked body is cut at the limit
        raise TooLarge(f"the body is larger than {limit:,} bytes", "Send it in parts")
    if request.content_length is not None and len(body) < request.content_length:
        raise BadRequest("the body is incomplete", "Send all of it again")
    whole = unpacked(body, request.headers.get("Content-Encoding", ""), limit)
    if SECRET.encode() in whole:
        raise NotAuthenticated(
            "a secret key is in the body", "Send it as `Authorization: Bearer …`; browser keys begin with ab_public_"
        )
    return whole


def read_parameters() -> dict[str, list[Any]]:
    """The unvalidated parameters, with all their values, from the query string and a JSON body."""
    raw: dict[str, list[Any]] = dict(request.args.lists())
    if "key" in raw:  # the caller's, unless it is a parameter of the pipe
        raw["key"] = [value for value in raw["key"] if not (value.startswith(PUBLIC) or is_token(value))]
        if not raw["key"]:
            del raw["key"]
    if request.method == "POST" and read_body():
        try:
            body = msgspec.json.decode(read_body(), type=dict[str, Any])
            json.loads(read_body(), object_pairs_hook=_reject_duplicates)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadRequest("the body is not a JSON object", 'Send {"item_id": "…", "limit": 10}') from error
        for name, value in body.items():
            if isinstance(value, list):
                raw[name] = Listed([*raw.get(name, []), *value])
            elif value is not None:
                raw.setdefault(name, []).append(value)
    return raw


def take_fresh(raw: dict[str, list[Any]]) -> bool:
    """Take `fresh` out of the parameters, since it is no parameter of the pipe. Raises BadParameters."""
    return bool(values([FRESH], {FRESH.name: raw.pop(FRESH.name, [])})[FRESH.name])


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> None:
    """JSON parsers silently take the last of several values under one name."""
    names: set[str] = set()
    for name, _ in pairs:
        if name in names:
            raise BadRequest(f"{name[:60]!r} occurs twice in the body", "Send several values as an array")
        names.add(name)


def read_object(type_: type[T], example: str) -> T:
    """The body as one JSON object of this type. Raises BadRequest, with the example as its hint."""
    try:
        return msgspec.json.decode(read_body(), type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(readable_problem(str(error), ""), f"Send {example}") from error
