"""Read request bodies: the complete bytes, parameters, or one JSON object of a known type."""

from __future__ import annotations

import json
from typing import Any, TypeVar, cast

import msgspec
from flask import g, request

from alsobought.access.credentials import PUBLIC, SECRET
from alsobought.access.tokens import is_token
from alsobought.errors import BadRequest, NotAuthenticated
from alsobought.events import readable_problem
from alsobought.pipes.parameters import FRESH, Listed, values
from alsobought.web.compression import GZIP_START, unpacked
from alsobought.web.context import service

T = TypeVar("T")


def read_body() -> bytes:
    """The complete body, unpacked.

    Raises BadRequest, TooLarge, UnsupportedEncoding, and NotAuthenticated for a secret key, which would be stored with what is
    rejected.
    """
    if "body" in g:
        return cast(bytes, g.body)
    body = unpacked(request.get_data(), request.headers.get("Content-Encoding", ""), service().settings.max_body_bytes)
    if SECRET.encode() in body:
        raise NotAuthenticated(
            "a secret key is in the body", "Send it as `Authorization: Bearer …`; browser keys begin with ab_public_"
        )
    g.body, g.body_size = body, len(body)
    return body


def largest_size() -> int:
    """The bytes that the body may have when it is unpacked."""
    is_packed = "Content-Encoding" in request.headers or request.get_data().startswith(GZIP_START)
    return service().settings.max_body_bytes if is_packed else len(request.get_data())


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
