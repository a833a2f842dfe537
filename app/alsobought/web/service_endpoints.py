"""The page, health and readiness, metrics, and the descriptions of the API."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec
from flask import Blueprint, Response, current_app, render_template, request
from markupsafe import escape

from alsobought.access.scopes import may
from alsobought.errors import DamagedParts, PipeBroken, WarehouseFault
from alsobought.pipes.intake_rules import event_types
from alsobought.service.vitals import free_if_there
from alsobought.web.access import gate, principal
from alsobought.web.context import as_of, json_response, metrics, service
from alsobought.web.openapi import describe_api
from alsobought.web.pipe_endpoints import entries

blueprint = Blueprint("service", __name__)


@blueprint.route("/")
def page() -> Response:
    return current_app.send_static_file("index.html")


@blueprint.route("/healthz")
def healthz() -> Response:
    return json_response({"status": "alive", "version": version("alsobought")})


@blueprint.route("/readyz")
def readyz() -> Response:
    """200 if the warehouse responds and there is a pipe that answers.

    A broken pipe does not make the service unready (`pipes` counts them), nor does a halted stream, nor a full disk
    (`disk_full`): the service answers, and refuses posts with 503.
    Nor do damaged parts of tables that are made from the events: `damaged` names these tables. Damaged events do: a
    duplicate of one would not be recognized.
    """
    service().warehouse.value("select 1")
    if not service().visibility.alive:
        raise WarehouseFault("the thread for new events has stopped", "Restart the service")
    damaged = _damaged()
    if not service().library.can_answer():
        raise PipeBroken("no pipe can answer", "`alsobought pipe check` shows their faults")
    if not may(principal(), "metrics"):
        return json_response({"status": "ready"})
    body = {"status": "ready", "as_of": as_of(), "waiting": service().waiting, "halted": _halted()}
    return json_response(body | {"damaged": damaged, "disk_full": _disk_full(), "pipes": service().library.states()})


def _disk_full() -> bool:
    """True if posts are refused for want of space."""
    running = service()
    free = free_if_there(running.warehouse.folder) if running.warehouse.folder else None
    if free is not None:
        return free < running.settings.min_free_bytes
    monitor = current_app.extensions["monitor"]
    return bool(monitor and monitor.vitals.disk_full)


def _damaged() -> list[str]:
    """The tables with damaged parts. Raises DamagedParts if `events`, or a record that only a backup has, is among them."""
    if not (monitor := current_app.extensions["monitor"]):
        return []
    if tables := monitor.upkeep.only_in_backups:
        raise DamagedParts(f"parts of {', '.join(tables)} are damaged", "Run `alsobought repair` on the machine")
    return sorted({part.table for part in monitor.upkeep.broken})


def _halted() -> str | None:
    """Why reading from Kafka is halted, as the monitor found at most 15 seconds ago."""
    status = monitor.status if (monitor := current_app.extensions["monitor"]) else None
    return status.halt.reason if status and status.halt else None


@blueprint.route("/metrics", endpoint="metrics")
def metrics_page() -> Response:
    text, content_type = metrics().page()
    return Response(text, content_type=content_type)


@blueprint.route("/openapi.json")
def openapi() -> Response:
    return Response(_documents().openapi, mimetype="application/json")


@blueprint.route("/docs")
def docs() -> str:
    """The OpenAPI document as a page: no scripts, nothing from other hosts."""
    return _documents().docs.replace(ROOT, str(escape(request.root_url.rstrip("/"))))


@dataclass(frozen=True)
class Documents:
    """The descriptions of the API for these versions of the pipes, and with keys if they are needed."""

    versions: tuple[Any, ...]
    openapi: bytes
    docs: str


ROOT = "https://root.invalid"  # in the cached page: each request has its own
_describing = threading.Lock()


def _documents() -> Documents:
    """Made again only after a pipe changed, and by one request: that is slow."""
    with _describing:
        pipes = [entry.pipe for _, entry in entries() if entry.pipe]
        needed = gate().needed
        versions = (needed, *((pipe.name, pipe.version) for pipe in pipes))
        cached: Documents | None = current_app.extensions.get("documents")
        if cached is None or cached.versions != versions:
            api = describe_api(pipes, event_types(service().settings), keys_needed=needed)
            page = render_template("docs.html", api=api, root=ROOT)
            cached = current_app.extensions["documents"] = Documents(
                versions, msgspec.json.encode(api, enc_hook=str), page
            )
        return cached
