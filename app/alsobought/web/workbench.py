"""What the page shows beyond the answers: a pipe's text, the SQL of one request, where its columns come from, what arrives.

Open to browsers on this machine, unless a setting says otherwise (`web.guard`): SQL tells how a shop is run, and
arriving events tell who does what.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, g, request

from alsobought.errors import AlsoboughtError
from alsobought.pipes.drafts import read_source
from alsobought.pipes.library import Pipe
from alsobought.pipes.lineage import lineage
from alsobought.pipes.parameters import values
from alsobought.pipes.template import ALWAYS
from alsobought.serving.answers import answer, bound_sql
from alsobought.serving.explain import explain
from alsobought.web.guard import may_look, refuse_to_show
from alsobought.web.live_events import Live
from alsobought.web.reply import body_of, json_response, shop

blueprint = Blueprint("workbench", __name__, url_prefix="/workbench")


def editing() -> bool:
    return bool(current_app.extensions["editing"])


def shown(body: dict[str, Any]) -> Response:
    """Never kept by anybody: what it shows changes with a file."""
    response = json_response({**body, "request_id": g.request_id})
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.route("")
def what_it_may() -> Response:
    """What of the workbench this browser gets."""
    looks = may_look(shop().settings, request, edit=editing())
    return shown({"open": looks, "edit": looks and editing()})


@blueprint.route("/pipes/<name>")
def show_pipe(name: str) -> Response:
    """The file of a pipe as it is now, and what was made of its last good text."""
    _refuse_to_show()
    entry = shop().library.entry(name)
    source = read_source(shop().library.folder, name)
    return shown(
        {
            "name": name,
            "file": f"pipes/{name}.sql",
            "text": source.text,
            "hash": source.hash,
            "findings": entry.findings,
            "answering": made_of(entry.pipe) if entry.pipe else None,
        }
    )


@blueprint.route("/pipes/<name>/sql")
def show_sql(name: str) -> Response:
    """The one query of a request, with the values that are bound to it. Takes the parameters of the pipe."""
    _refuse_to_show()
    asked = dict(request.args.lists())
    pipe = shop().library.answering(name, asked)
    bound = values(pipe.parameters, asked)
    sql, given = bound_sql(pipe, bound, shop().clock())
    types = {parameter.name: parameter.sql_type for parameter in (*pipe.parameters, *ALWAYS)}
    listed = [{"name": name, "type": types[name], "value": given[name]} for name in types if name in given]
    return shown({"sql": sql.strip("\n"), "values": listed, "version": pipe.version})


@blueprint.route("/pipes/<name>/plan")
def show_plan(name: str) -> Response:
    """Which part of each table a request reads: by the engine's plan, and by running it. Takes the parameters of the pipe."""
    _refuse_to_show()
    asked = dict(request.args.lists())
    found = explain(shop().warehouse, shop().library.answering(name, asked), asked, shop().clock())
    return shown({"tables": found.tables, "statistics": found.statistics})


@blueprint.route("/live")
def show_live() -> Response:
    """What is arriving. With `pipe` also what that pipe answers to the other parameters; that is not recorded as a request."""
    _refuse_to_show()
    live: Live = current_app.extensions["live"]
    body = msgspec.to_builtins(live.look())
    given = dict(request.args.lists())
    for name in given.pop("pipe", [])[:1]:
        with suppress(AlsoboughtError):  # a broken pipe does not keep anything else from being seen
            body["answer"] = body_of(answer(shop().library, shop().warehouse, name, given, shop().clock(), shop().kept))
    return shown(body)


def _refuse_to_show() -> None:
    refuse_to_show(shop().settings, request, edit=editing())


def made_of(pipe: Pipe) -> dict[str, Any]:
    """What the checks found in a text."""
    return {
        **rules_of(pipe),
        "tables": pipe.tables,
        "columns": [{"name": name, "type": kind} for name, kind in pipe.columns],
        "lineage": lineage(pipe, shop().warehouse.schema()),
    }


def rules_of(pipe: Pipe) -> dict[str, Any]:
    """What the header says of its answers."""
    header = pipe.header
    return {
        "version": pipe.version,
        "cache_seconds": header.cache_seconds,
        "cache_until": header.cache_until,
        "fallback": header.fallback.pipe if header.fallback else None,
    }
