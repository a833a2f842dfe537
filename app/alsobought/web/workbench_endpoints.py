"""The workbench: the text of a pipe, SQL and plan of a request, column lineage, live events.

Open to browsers on this machine unless a setting changes that (`web.guard`): SQL reveals how a shop
works, and arriving events reveal what its users do.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, g, request

from alsobought.access.roles import described
from alsobought.access.scopes import ADMIN, EVENTS, may
from alsobought.errors import AlsoboughtError
from alsobought.pipes.library import Pipe
from alsobought.pipes.lineage import Lineage, lineage
from alsobought.pipes.parameters import values
from alsobought.pipes.sandbox import BUILT_IN
from alsobought.pipes.source_file import read_source
from alsobought.serving.answers import bound_sql
from alsobought.serving.explain import explain
from alsobought.web.access import COOKIE, gate, principal
from alsobought.web.context import editing_enabled, json_response, live_events, service
from alsobought.web.guard import may_view, require_viewer

blueprint = Blueprint("workbench", __name__, url_prefix="/workbench")


def uncached_response(body: dict[str, Any]) -> Response:
    """JSON that no cache may store, since it changes with a file."""
    response = json_response({**body, "request_id": g.request_id})
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("")
def show_permissions() -> Response:
    """What this browser may do on the page, and who is logged in."""
    if principal().kind == "open":
        allowed = may_view(service().settings, request, edit=editing_enabled())
    else:
        allowed = may(principal(), "edit") and service().settings.workbench != "closed"
    needed = principal().kind == "anonymous"
    return uncached_response(
        {
            "open": allowed,
            "edit": allowed and editing_enabled(),
            "key_needed": needed,
            "session": COOKIE in request.cookies and not needed,
            "post": may(principal(), EVENTS),
            "audit": allowed and may(principal(), ADMIN),
            "name": gate().name_of(principal().id) or principal().id,
            "role": described(principal().scopes) if principal().kind == "secret" else "",
        }
    )


@blueprint.route("/pipes/<name>")
def show_pipe(name: str) -> Response:
    """The current file of a pipe with its findings, and the last valid text, which serves."""
    require_workbench()
    entry = service().library.entry(name)
    source = read_source(service().library.folder, name)
    return uncached_response(
        {
            "name": name,
            "file": f"pipes/{name}.sql",
            "text": source.text,
            "hash": source.hash,
            "findings": entry.findings,
            "serving": describe_pipe(entry.pipe) if entry.pipe else None,
        }
    )


@blueprint.route("/pipes/<name>/sql")
def show_sql(name: str) -> Response:
    """The one query of a request, with the values bound to it. Takes the parameters of the pipe."""
    require_workbench()
    raw = dict(request.args.lists())
    pipe = service().library.answering(name, raw)
    bound = values(pipe.parameters, raw)
    sql, used = bound_sql(pipe, bound, service().clock())
    types = {parameter.name: parameter.sql_type for parameter in (*pipe.parameters, *BUILT_IN)}
    listed = [{"name": name, "type": types[name], "value": used[name]} for name in types if name in used]
    return uncached_response({"sql": sql.strip("\n"), "values": listed, "version": pipe.version})


@blueprint.route("/pipes/<name>/plan")
def show_plan(name: str) -> Response:
    """The part of each table that a request reads, by the query plan and by one run.

    Takes the parameters of the pipe.
    """
    require_workbench()
    running = service()
    raw = dict(request.args.lists())
    explained = explain(running.warehouse, running.library.answering(name, raw), raw, running.clock())
    return uncached_response({"tables": explained.tables, "statistics": explained.statistics})


@blueprint.route("/live")
def show_live() -> Response:
    """The live status.

    `pipe` adds the answer of that pipe to the other parameters, without recording a request.
    """
    require_workbench()
    body = msgspec.to_builtins(live_events().status())
    raw = dict(request.args.lists())
    for name in raw.pop("pipe", [])[:1]:
        with suppress(AlsoboughtError):  # a broken pipe does not hide the live status
            body["answer"] = service().answers.answer(name, raw).members
    return uncached_response(body)


def require_workbench() -> None:
    """Raises NotAllowed. A key with the scope `edit` needs no trusted host name."""
    if principal().kind == "secret" and service().settings.workbench != "closed":
        return
    require_viewer(service().settings, request, edit=editing_enabled())


def describe_pipe(pipe: Pipe) -> dict[str, Any]:
    """The rules, tables, columns and lineage that validation found in a text."""
    return {
        **describe_rules(pipe),
        "tables": pipe.tables,
        "columns": [{"name": name, "type": kind} for name, kind in pipe.columns],
        "lineage": _lineage(pipe),
    }


def _lineage(pipe: Pipe) -> Lineage:
    """Traced once for each version of a pipe: that is slow."""
    traced: dict[str, tuple[str, Lineage]] = current_app.extensions.setdefault("lineages", {})
    if pipe.name not in traced or traced[pipe.name][0] != pipe.version:
        traced[pipe.name] = pipe.version, lineage(pipe, service().warehouse.schema())
    return traced[pipe.name][1]


def describe_rules(pipe: Pipe) -> dict[str, Any]:
    """How the header has answers cached and filled."""
    header = pipe.header
    return {
        "version": pipe.version,
        "cache_seconds": header.cache_seconds,
        "cache_until": header.cache_until,
        "cache_events": header.cache_events,
        "fallback": header.fallback.pipe if header.fallback else None,
    }
