"""The page, health and readiness, metrics, and the descriptions of the API."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request

from alsobought.access.scopes import may
from alsobought.errors import WarehouseFault
from alsobought.pipes.intake_rules import event_types
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
    """200 if the warehouse responds.

    A broken pipe does not make the service unready (`GET /pipes` shows it), nor does a halted stream: the service answers.
    """
    service().warehouse.value("select 1")
    if not service().visibility.alive:
        raise WarehouseFault("the thread for new events has stopped", "Restart the service")
    if not may(principal(), "metrics"):
        return json_response({"status": "ready"})
    return json_response({"status": "ready", "as_of": as_of(), "waiting": service().waiting, "halted": _halted()})


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
    return json_response(_api())


@blueprint.route("/docs")
def docs() -> str:
    """The OpenAPI document as a page: no scripts, nothing from other hosts."""
    return render_template("docs.html", api=_api(), root=request.root_url.rstrip("/"))


def _api() -> dict[str, Any]:
    """The OpenAPI document, built again only after a pipe changed: that is slow."""
    pipes = [entry.pipe for _, entry in entries() if entry.pipe]
    needed = gate().needed
    versions = (needed, *((pipe.name, pipe.version) for pipe in pipes))
    cached: tuple[Any, dict[str, Any]] = current_app.extensions.get("openapi", ((), {}))
    if cached[0] != versions:
        document = describe_api(pipes, event_types(service().settings), keys_needed=needed)
        cached = current_app.extensions["openapi"] = (versions, document)
    return cached[1]
