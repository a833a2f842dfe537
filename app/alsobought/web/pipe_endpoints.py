"""`GET /pipes` and `GET or POST /pipes/<name>`: the list of pipes, and the answer of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request

from alsobought.access.scopes import READ, may
from alsobought.errors import NoSuchPipe
from alsobought.pipes.library import Entry
from alsobought.pipes.parameters import Parameter
from alsobought.recommendation_ids import Placement
from alsobought.web.access import principal
from alsobought.web.answering import answer_response, compute_and_record
from alsobought.web.context import json_response, service
from alsobought.web.deprecations import mark
from alsobought.web.formats import choose_format
from alsobought.web.pipe_access import audience_of, authorize_pipe, may_list
from alsobought.web.request_body import read_parameters, take_fresh

blueprint = Blueprint("pipes", __name__, url_prefix="/pipes")


@blueprint.route("")
def list_pipes() -> Response:
    pipes = [describe_entry(name, entry) for name, entry in entries() if _may_list(entry)]
    return json_response({"pipes": pipes, "request_id": g.request_id})


def _may_list(entry: Entry) -> bool:
    """A broken pipe is shown to those who may ask every pipe."""
    return may_list(entry.pipe) if entry.pipe else may(principal(), READ) and not principal().in_browsers


def entries() -> Iterator[tuple[str, Entry]]:
    """Every pipe; one whose file is deleted meanwhile is left out."""
    library = service().library
    for name in library.names():
        with suppress(NoSuchPipe):
            yield name, library.entry(name)


def describe_entry(name: str, entry: Entry) -> dict[str, Any]:
    """A pipe as the list shows it. `stale`: the file is broken, and its last valid text answers."""
    if entry.pipe is None:
        nothing = {"sentence": "", "description": "", "parameters": [], "columns": [], "version": ""}
        unknown = {"private": True, "user_parameters": []}
        return {"name": name, "ready": False, "stale": False, **unknown, **nothing}
    users = audience_of(entry.pipe)
    return {
        "name": name,
        "ready": True,
        "stale": entry.fault is not None,
        "private": users.private,
        "user_parameters": [] if users.declared == "public" else sorted(users.parameters),
        "sentence": entry.pipe.header.sentence,
        "description": entry.pipe.header.prose,
        "parameters": [describe_parameter(parameter) for parameter in entry.pipe.parameters],
        "columns": [{"name": name, "type": kind} for name, kind in entry.pipe.columns],
        "version": entry.pipe.version,
    }


def describe_parameter(parameter: Parameter) -> dict[str, Any]:
    minimum, maximum = parameter.bounds()
    return {
        "name": parameter.name,
        "type": parameter.type,
        "required": parameter.required,
        "repeated": parameter.repeated,
        "default": parameter.assumed,
        "minimum": minimum,
        "maximum": maximum,
        "choices": parameter.choices or None,
        "min_length": parameter.min_length,
        "max_length": parameter.max_length,
        "pattern": parameter.pattern or None,
        "description": parameter.description,
    }


@blueprint.route("/<path:name>", methods=["GET", "POST"])
def answer_pipe(name: str) -> Response:
    name, _, suffix = name.partition(".")
    fmt = choose_format(suffix, request.accept_mimetypes)
    raw = read_parameters()
    authorize_pipe(name, raw)
    fresh = take_fresh(raw) or bool(request.cache_control.no_cache)
    placement = Placement(name, service().library.version(name))
    answered = compute_and_record(placement, raw, partial(service().answers.answer, name, raw, fresh=fresh))
    deprecated = answered.answer.pipe.deprecated(raw)
    response = answer_response(answered, fmt, raw, may_repeat=not deprecated and not fresh)
    mark(response, name, deprecated)
    return response


@blueprint.after_request
def _add_vary(response: Response) -> Response:
    """One path has several formats, and whether an error is 406 depends on Accept too."""
    if request.endpoint == "pipes.answer_pipe":
        response.headers.add("Vary", "Accept")
    return response
