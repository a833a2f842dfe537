"""`GET /pipes` and `GET or POST /pipes/<name>`: the list of pipes, and the answer of one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, g, request

from alsobought.access.scopes import READ, may
from alsobought.errors import AlsoboughtError, NoSuchPipe
from alsobought.pipes.library import Entry
from alsobought.recommendation_ids import Placement
from alsobought.serving.answer import Answer
from alsobought.serving.request_log import RequestRecord, encode_parameters
from alsobought.storage.parquet import to_parquet
from alsobought.web.access import principal
from alsobought.web.context import json_response, metrics, service, slow_requests
from alsobought.web.deprecations import mark
from alsobought.web.fast_lane import offer
from alsobought.web.formats import (
    FORMATS,
    caching_headers,
    choose_format,
    entity_tag,
    file_headers,
    link_header,
    page_query,
    to_csv,
    to_json,
    to_ndjson,
)
from alsobought.web.lanes import WAITED
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
        "parameters": [
            {
                "name": p.name,
                "type": p.type,
                "required": p.required,
                "repeated": p.repeated,
                "default": p.assumed,
                "minimum": p.bounds()[0],
                "maximum": p.bounds()[1],
                "choices": p.choices or None,
                "min_length": p.min_length,
                "max_length": p.max_length,
                "pattern": p.pattern or None,
                "description": p.description,
            }
            for p in entry.pipe.parameters
        ],
        "columns": [{"name": name, "type": kind} for name, kind in entry.pipe.columns],
        "version": entry.pipe.version,
    }


@blueprint.route("/<path:name>", methods=["GET", "POST"])
def answer_pipe(name: str) -> Response:
    name, _, suffix = name.partition(".")
    fmt = choose_format(suffix, request.accept_mimetypes)
    raw = read_parameters()
    authorize_pipe(name, raw)
    fresh = take_fresh(raw) or bool(request.cache_control.no_cache)
    result, recommendation_id = _answer_and_record(name, raw, fresh=fresh)
    deprecated = result.pipe.deprecated(raw)
    query = page_query(with_key(raw))
    if request.method == "GET" and fmt == "json" and result.key and not deprecated and not fresh:
        offer(result, encode_parameters(raw), query)
    response = _response(result, fmt, link_header(result, query), recommendation_id)
    response.headers["Cache-Status"] = f"alsobought; {'hit' if result.cached else 'fwd=miss'}"
    mark(response, name, deprecated)
    return response


def with_key(raw: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The parameters for the link to the next page: with a browser key that came in the URL, without what a token fills in."""
    shown = {name: values for name, values in raw.items() if name not in principal().fixed}
    return shown | {"key": [g.credential]} if g.get("credential") and "key" in request.args else shown


def _answer_and_record(name: str, raw: dict[str, list[Any]], *, fresh: bool) -> tuple[Answer, str]:
    """The answer and its recommendation_id; the request is counted in the metrics and recorded, whether it succeeds or fails."""
    running = service()
    now, started = running.clock(), time.perf_counter()
    result, status, code, recommendation_id = None, 500, "internal", ""
    try:
        result = running.answers.answer(name, raw, fresh=fresh)
        recommendation_id = running.recommendations.mint(Placement(name, result.pipe.version), now)
        status, code = 200, ""
    except AlsoboughtError as error:
        status, code = error.status, error.code
        raise
    finally:
        seconds = time.perf_counter() - started
        pipe_exists = status not in (404, 500)
        metrics().answered(name if pipe_exists else "", status, seconds)
        if status != 404:
            slow_requests().add(name, raw, result, status, seconds, request.environ.get(WAITED, 0.0))
        if "span" in g:
            cached, rows = bool(result and result.cached), len(result.data) if result else 0
            g.answered = {"pipe": name if pipe_exists else "", "cached": cached, "rows": rows}
        if running.request_log and status != 404:
            placement = Placement(name, result.pipe.version if result else running.library.version(name))
            asked = encode_parameters(raw)
            running.request_log.add(
                RequestRecord(now, g.request_id, placement, asked, status, code, seconds, result, recommendation_id)
            )
    return result, recommendation_id


@blueprint.after_request
def _add_vary(response: Response) -> Response:
    """One path has several formats, and whether an error is 406 depends on Accept too."""
    if request.endpoint == "pipes.answer_pipe":
        response.headers.add("Vary", "Accept")
    return response


def _response(result: Answer, fmt: str, link: dict[str, str], recommendation_id: str) -> Response:
    """The answer, or 304 if the client has it; the recommendation_id is a header, too, for other formats than JSON."""
    headers = file_headers(result, fmt) | link
    if recommendation_id:
        headers["Recommendation-Id"] = recommendation_id
    if request.method == "POST":
        return Response(_encode(result, fmt, recommendation_id), mimetype=FORMATS[fmt], headers=headers)
    headers |= caching_headers(result, fmt)
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(entity_tag(result, fmt)):
        return Response(status=304, mimetype=FORMATS[fmt], headers=headers)
    return Response(_encode(result, fmt, recommendation_id), mimetype=FORMATS[fmt], headers=headers)


def _encode(result: Answer, fmt: str, recommendation_id: str) -> bytes:
    if fmt == "ndjson":
        return to_ndjson(result.dicts())
    if fmt == "csv":
        return to_csv([column.name for column in result.meta], result.dicts())
    if fmt == "parquet":
        return to_parquet(service().warehouse, result.meta, result.data)
    return to_json(result, g.request_id, recommendation_id)
