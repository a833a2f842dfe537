"""The endpoints: pipes, events, items, the page, and what watches over the service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any, cast

import msgspec
from flask import Blueprint, Response, current_app, g, render_template, request
from werkzeug.exceptions import RequestEntityTooLarge

from alsobought.errors import (
    AlsoboughtError,
    BadEvents,
    BadItems,
    BadRequest,
    Detail,
    NoSuchPipe,
    TooLarge,
    WarehouseFault,
)
from alsobought.events import (
    STANDARD_TYPES,
    Event,
    Id,
    Item,
    Rejected,
    Rules,
    read_events,
    read_items,
    readable_problem,
    split_objects,
)
from alsobought.pipes.library import Entry
from alsobought.pipes.parameters import Listed
from alsobought.service.sinks import Taken
from alsobought.serving.answers import Answer, answer
from alsobought.serving.request_log import Asked, parameters
from alsobought.settings import extra_event_types
from alsobought.storage.parquet import to_parquet
from alsobought.web.formats import FORMATS, chosen, saved_as, tag, to_csv, to_ndjson, validity
from alsobought.web.guard import refuse_other_sites
from alsobought.web.metrics import Metrics
from alsobought.web.openapi import describe_api
from alsobought.web.reply import body_of
from alsobought.web.reply import json_response as _json
from alsobought.web.reply import shop as _shop
from alsobought.web.write_slots import Places

blueprint = Blueprint("shop", __name__)
TOLD = 100  # refused objects that an answer lists
NOT_YET = "The log has them and they will be stored: do not send them again"


def _metrics() -> Metrics:
    return cast(Metrics, current_app.extensions["metrics"])


def _places() -> Places:
    return cast(Places, current_app.extensions["places"])


# Pipes


@blueprint.route("/pipes")
def list_pipes() -> Response:
    listed = [described(name, entry) for name, entry in _entries()]
    return _json({"pipes": listed, "request_id": g.request_id})


def _entries() -> Iterator[tuple[str, Entry]]:
    """Every pipe but those whose file goes away in this moment."""
    library = _shop().library
    for name in library.names():
        with suppress(NoSuchPipe):
            yield name, library.entry(name)


def described(name: str, entry: Entry) -> dict[str, Any]:
    """A pipe as the list shows it. `stale`: its file is broken and its last good text answers."""
    if entry.pipe is None:
        nothing = {"sentence": "", "description": "", "parameters": [], "columns": [], "version": ""}
        return {"name": name, "ready": False, "stale": False, **nothing}
    return {
        "name": name,
        "ready": True,
        "stale": entry.fault is not None,
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


@blueprint.route("/pipes/<path:name>", methods=["GET", "POST"])
def ask(name: str) -> Response:
    shop = _shop()
    name, _, suffix = name.partition(".")
    fmt = chosen(suffix, request.accept_mimetypes)
    given = _given()
    fresh = bool(request.cache_control.no_cache)
    now, started = shop.clock(), time.perf_counter()
    found, status, code = None, 500, "internal"
    try:
        found = answer(shop.library, shop.warehouse, name, given, now, shop.cache, fresh=fresh)
        status, code = 200, ""
    except AlsoboughtError as error:
        status, code = error.status, error.code
        raise
    finally:
        seconds = time.perf_counter() - started
        known = status not in (404, 500)
        _metrics().answered(name if known else "", status, seconds)
        if shop.request_log and status != 404:
            version = found.pipe.version if found else shop.library.version(name)
            shop.request_log.note(
                Asked(now, g.request_id, name, version, parameters(given), status, code, seconds, found)
            )
    response = _said(found, fmt)
    response.headers["Cache-Status"] = f"alsobought; {'hit' if found.cached else 'fwd=miss'}"
    return response


@blueprint.after_request
def _told_apart(response: Response) -> Response:
    """The same address has several formats, and a refusal depends on what was asked for, too."""
    if request.endpoint == "shop.ask":
        response.headers.add("Vary", "Accept")
    return response


def _said(found: Answer, fmt: str) -> Response:
    """The answer, or 304 to a caller who has it."""
    if request.method == "POST":
        return Response(_in_format(found, fmt), mimetype=FORMATS[fmt], headers=saved_as(found, fmt))
    told = saved_as(found, fmt) | validity(found, fmt)
    if "If-None-Match" in request.headers and request.if_none_match.contains_weak(tag(found, fmt)):
        return Response(status=304, mimetype=FORMATS[fmt], headers=told)
    return Response(_in_format(found, fmt), mimetype=FORMATS[fmt], headers=told)


def _given() -> dict[str, list[Any]]:
    """The parameters of a request, each with all its values: the query string, and a JSON object in a POST."""
    given: dict[str, list[Any]] = dict(request.args.lists())
    if request.method == "POST" and _body():
        try:
            body = msgspec.json.decode(_body(), type=dict[str, Any])
            json.loads(_body(), object_pairs_hook=_refuse_twice)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise BadRequest("the body is not a JSON object", 'Send {"item_id": "…", "limit": 10}') from error
        for name, value in body.items():
            if isinstance(value, list):
                given[name] = Listed([*given.get(name, []), *value])
            elif value is not None:
                given.setdefault(name, []).append(value)
    return given


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    """Of two values under one name a reader of JSON takes the last without a word."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise BadRequest(f"{name[:60]!r} stands twice in the body", "Several values are an array")
        seen.add(name)


def _body() -> bytes:
    """The whole body: a part of one is never taken for it, since the rest would be lost without a word."""
    limit = _shop().settings.max_body_bytes
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise
    except Exception as error:  # the server reads the connection here, and has errors of its own for it
        raise BadRequest(
            "the body broke off, or its chunks are not as HTTP wants them", "Send all of it again"
        ) from error
    if request.content_length is None and len(body) >= limit:  # a chunked body is cut at the limit
        raise TooLarge(f"the body is larger than {limit:,} bytes", "Send it in parts")
    if request.content_length is not None and len(body) < request.content_length:
        raise BadRequest("the body broke off", "Send all of it again")
    return body


def _in_format(found: Answer, fmt: str) -> bytes:
    if fmt == "ndjson":
        return to_ndjson(found.dicts())
    if fmt == "csv":
        return to_csv([column.name for column in found.meta], found.dicts())
    if fmt == "parquet":
        return to_parquet(_shop().warehouse, found.meta, found.data)
    return msgspec.json.encode(body_of(found) | {"as_of": _as_of(), "request_id": g.request_id})


def _as_of() -> str | None:
    as_of = _shop().visibility.as_of
    return as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z") if as_of else None


# Events and items


@blueprint.route("/events", methods=["POST"])
def post_events() -> Response:
    refuse_other_sites(_shop().settings, request)
    settings, now = _shop().settings, _shop().clock()
    rules = Rules(now, _event_types(), settings.max_event_bytes)
    with _places().one():
        return _take(*read_events(split_objects(_body()), rules), BadEvents)


def _event_types() -> frozenset[str]:
    return frozenset(STANDARD_TYPES).union(extra_event_types(_shop().settings))


@blueprint.route("/items", methods=["POST"])
def post_items() -> Response:
    refuse_other_sites(_shop().settings, request)
    with _places().one():
        return _take(*read_items(split_objects(_body()), _shop().settings.max_event_bytes), BadItems)


def _take(
    good: Sequence[Event] | Sequence[Item], bad: list[Rejected], refusal: type[BadEvents] | type[BadItems]
) -> Response:
    """Stores the good ones and tells of the bad ones: 202 once they are durable, 200 with ?wait=true once they are visible."""
    kind = "item" if refusal is BadItems else "event"
    _metrics().rejected(kind, len(bad))
    if not good:
        if not bad:
            raise BadRequest("the body is empty", f"Send one {kind}, an array of them, or one per line")
        details = tuple(Detail(f"[{r.index}]", r.problem) for r in bad[:TOLD])
        of = f" of {len(bad):,}" if len(bad) > 1 else ""
        raise refusal(f"no {kind}{of} could be accepted: {bad[0].problem}", details=details)
    wait = request.args.get("wait", "false").lower() in ("true", "1")
    try:
        taken = _shop().sink.take(good, wait=wait)
    except AlsoboughtError:
        _metrics().refused(kind, len(good))
        raise
    _metrics().accepted(kind, taken.rows, taken.repeats or 0)
    return _json(_told(taken, len(good), bad, wait), 200 if wait and taken.visible else 202)


def _told(taken: Taken, accepted: int, bad: list[Rejected], wait: bool) -> dict[str, Any]:
    """How many are repeats is known only where the writer is asked; `visible` stands for a wait that was too short."""
    body: dict[str, Any] = {"accepted": accepted, "rejected": bad[:TOLD], "rejected_total": len(bad)}
    if taken.repeats is not None:
        body["repeats"] = taken.repeats
    if wait and not taken.visible:
        body |= {"visible": False, "hint": NOT_YET}
    return body | {"request_id": g.request_id}


# Users


class Merge(msgspec.Struct, forbid_unknown_fields=True):
    guest_id: Id
    user_id: Id


@blueprint.route("/users/merge", methods=["POST"])
def merge_users() -> Response:
    """What the guest did is the account's from here on, and what the guest does. Doing it again changes nothing."""
    refuse_other_sites(_shop().settings, request)
    try:
        wanted = msgspec.json.decode(_body(), type=Merge)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(readable_problem(str(error), ""), 'Send {"guest_id": "…", "user_id": "…"}') from error
    for name, value in (("guest_id", wanted.guest_id), ("user_id", wanted.user_id)):
        if "\0" in value:
            raise BadRequest(f"{name}: holds a NUL character", "Send it as events have it")
    with _places().one():
        done = _shop().do("merge", wanted.guest_id, wanted.user_id)
    return _json({"guest_id": wanted.guest_id, **done, "request_id": g.request_id})


# The page and the watchers


@blueprint.route("/")
def page() -> Response:
    return current_app.send_static_file("index.html")


@blueprint.route("/healthz")
def healthz() -> Response:
    return _json({"status": "alive", "version": version("alsobought")})


@blueprint.route("/readyz")
def readyz() -> Response:
    """200 when the warehouse answers. A broken pipe is no reason to send everybody away: `GET /pipes` shows it."""
    shop = _shop()
    shop.warehouse.value("select 1")
    if not shop.visibility.alive:
        raise WarehouseFault("the thread for new events has stopped", "Start the service again")
    return _json({"status": "ready", "as_of": _as_of(), "waiting": shop.waiting})


@blueprint.route("/metrics")
def metrics() -> Response:
    text, kind = _metrics().page()
    return Response(text, content_type=kind)


@blueprint.route("/openapi.json")
def openapi() -> Response:
    return _json(_described_api())


@blueprint.route("/docs")
def docs() -> str:
    """The same document for people; a page without scripts, and with nothing from elsewhere."""
    return render_template("docs.html", api=_described_api(), root=request.root_url.rstrip("/"))


def _described_api() -> dict[str, Any]:
    """Made again when a pipe changes: it takes as long as many answers do."""
    pipes = [entry.pipe for _, entry in _entries() if entry.pipe]
    texts = tuple((pipe.name, pipe.version) for pipe in pipes)
    made: tuple[Any, dict[str, Any]] = current_app.extensions.get("openapi", ((), {}))
    if made[0] != texts:
        made = current_app.extensions["openapi"] = (texts, describe_api(pipes, _event_types()))
    return made[1]
