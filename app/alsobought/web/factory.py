"""Assemble the Flask application.

`create_app(service)` is for tests, `served_app(settings)` for a gunicorn worker.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress

from flask import Flask, Response, g, request
from flask_cors import CORS
from werkzeug.routing import PathConverter

from alsobought import tracing
from alsobought.access.audit_log import AuditLog
from alsobought.access.credentials import without_secrets
from alsobought.access.gate import Gate
from alsobought.errors import AlsoboughtError
from alsobought.experimentation.stops import PolledStops
from alsobought.logs import NO_TRACE, log_access, request_id, trace, trace_context
from alsobought.pipes.library import Library
from alsobought.privacy.guests import merge_guests
from alsobought.service.experiment_monitor import ExperimentMonitor
from alsobought.service.ipc_server import IpcServer
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service, open_service
from alsobought.serving.siblings import Siblings
from alsobought.settings import Settings, allowed_hosts, hosts_for_editing, origins
from alsobought.web import (
    audit_endpoints,
    editor_endpoints,
    experiment_endpoints,
    intake_endpoints,
    item_endpoints,
    kit_endpoints,
    pipe_endpoints,
    service_endpoints,
    session_endpoints,
    surface_endpoints,
    token_endpoints,
    user_endpoints,
    webhook_endpoints,
    why_endpoints,
    workbench_endpoints,
)
from alsobought.web.access import enforce, protect
from alsobought.web.audit import record_failed_login
from alsobought.web.context import metrics as app_metrics
from alsobought.web.error_handlers import register_error_handlers
from alsobought.web.fast_lane import FastLane, remember_response
from alsobought.web.guard import only_this_machine
from alsobought.web.hosts import behind_proxies, require_allowed_host
from alsobought.web.lanes import LANE, WAITED
from alsobought.web.live_events import LiveEvents
from alsobought.web.metrics import Metrics
from alsobought.web.pipe_access import audience_of
from alsobought.web.ports import hide_from_public_port
from alsobought.web.security_headers import EXPOSED_HEADERS, add_security_headers, allow_origins_of_keys
from alsobought.web.server import require_keys
from alsobought.web.slow_requests import SlowRequests
from alsobought.web.write_slots import WriteSlots

log = logging.getLogger(__name__)

NOT_THE_WORKBENCH = r"^/(?!(?:workbench|audit)(?:/|$))"  # paths that pages of listed origins may call
POSTS = frozenset({"intake", "webhooks", "items", "users"})  # blueprints that store what is sent
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds, by programs
LOAD_AFTER_SECONDS, LOAD_PAUSE_SECONDS = 1.0, 0.02


class AnyText(PathConverter):
    """An id in a path, which may have line breaks, as in a post."""

    regex = r"(?s:[^/].*?)"


def create_app(
    service: Service,
    monitor: Monitor | None = None,
    *,
    edit: bool = False,
    gate: Gate | None = None,
    audit: AuditLog | None = None,
    experiments: ExperimentMonitor | None = None,
) -> Flask:
    """The application on a running service; with `edit` it can change pipes.

    The caller closes the service, its monitors, the gate, whose keys are those of now by default, and the audit log.
    """
    gate = gate or Gate(service.settings, service.warehouse, loopback=only_this_machine(service.settings))
    app = Flask(__name__)
    app.url_map.converters["path"] = AnyText
    app.url_map.merge_slashes = False  # it would redirect to whatever Host has
    app.wsgi_app = behind_proxies(app.wsgi_app, service.settings)  # type: ignore[assignment, method-assign]
    app.config["MAX_CONTENT_LENGTH"] = service.settings.max_body_bytes
    app.extensions["service"] = service
    app.extensions["gate"] = gate
    audit = audit or AuditLog(service.warehouse)
    app.extensions["audit"] = audit
    app.extensions["monitor"] = monitor
    experiments = experiments or ExperimentMonitor(service, service.warehouse, audit)
    app.extensions["experiments"] = experiments
    app.extensions["metrics"] = Metrics(service, monitor, experiments)
    app.extensions["slow_requests"] = SlowRequests(service, audience_of)
    app.extensions["write_slots"] = WriteSlots(service.settings.threads, service.settings.max_body_bytes)
    app.extensions["live_events"] = LiveEvents(service, monitor)
    app.extensions["editing"] = edit
    for endpoints in (
        pipe_endpoints,
        surface_endpoints,
        intake_endpoints,
        webhook_endpoints,
        item_endpoints,
        user_endpoints,
        token_endpoints,
        session_endpoints,
        service_endpoints,
        kit_endpoints,
        workbench_endpoints,
        why_endpoints,
        audit_endpoints,
        experiment_endpoints,
    ):
        app.register_blueprint(endpoints.blueprint)
    if edit:
        app.register_blueprint(editor_endpoints.blueprint)
    app.after_request(remember_response)  # the first one registered runs last
    app.after_request(kit_endpoints.open_to_all_pages)
    app.after_request(allow_origins_of_keys)
    if allowed := origins(service.settings):
        CORS(app, resources=NOT_THE_WORKBENCH, origins=allowed, expose_headers=EXPOSED_HEADERS, max_age=600)
    app.extensions["fast_lane"] = FastLane(app)
    app.before_request(_begin_request)
    names = allowed_hosts(service.settings)
    app.before_request(lambda: require_allowed_host(names, request))
    app.before_request(hide_from_public_port)
    app.before_request(enforce)
    app.after_request(_finish_response)
    app.after_request(record_failed_login)
    app.teardown_request(_end_request)
    register_error_handlers(app)
    return app


def served_app(settings: Settings, *, edit: bool = False, siblings: Siblings | None = None) -> Flask:
    """The application with the service under it, which `closing` among its extensions closes.

    With Kafka and a ClickHouse server, `alsobought ingest` is the writer and this process follows
    it, as its `siblings` do.
    """
    with ExitStack() as closing:
        writes = settings.warehouse_dsn.startswith("chdb:") or not settings.kafka
        closing.callback(tracing.start())
        service = open_service(settings, writes=writes, siblings=siblings)
        closing.callback(service.close)
        service.visibility.start()
        stops = PolledStops(service.warehouse.another(), lambda: bool(service.surfaces.current().experiments.by_name))
        stops.start()
        service.surfaces.stopped = stops
        closing.callback(stops.close)
        closing.callback(load_pipes_ahead(service.library))
        if folder := service.warehouse.folder:
            closing.callback(IpcServer(folder, service.writer, service.warehouse.another).close)
        if service.warehouse.embedded and settings.kafka:
            from alsobought.kafka.consumer import TopicConsumer  # not needed without Kafka

            consumer = TopicConsumer(service.writer, settings, merge_guests)
            consumer.start()
            closing.callback(consumer.stop)
        gate = open_gate(service)
        closing.callback(gate.close)
        audit = AuditLog(service.warehouse.another())  # its entries do not wait for a batch of the writer
        audit.start()
        closing.callback(_close_audit_log, audit)
        monitor = Monitor(service.writer)
        monitor.start()
        closing.callback(monitor.stop)
        experiments = ExperimentMonitor(service, service.warehouse.another(), audit)
        experiments.start()
        closing.callback(experiments.close)
        if edit and not gate.needed and (hosts := hosts_for_editing(settings)):
            log.warning("every client that reaches this service as %s may edit the pipes", " or ".join(hosts))
        app = create_app(service, monitor, edit=edit, gate=gate, audit=audit, experiments=experiments)
        app.extensions["closing"] = closing.pop_all()
        return app


def _close_audit_log(audit: AuditLog) -> None:
    audit.close()
    audit.warehouse.close()


def open_gate(service: Service) -> Gate:
    """The gate on connections of its own, with a thread that reads the keys. Raises Unusable where a key is missing."""
    settings = service.settings
    gate = Gate(settings, service.warehouse.another(), loopback=only_this_machine(settings))
    require_keys(settings, gate)
    gate.start()
    return gate


def load_pipes_ahead(library: Library) -> Callable[[], None]:
    """Load every pipe in a thread, beginning in a second, so that no first request has to. Returns what stops it."""
    stopped = threading.Event()

    def load() -> None:
        pause = LOAD_AFTER_SECONDS
        for name in library.names():
            if stopped.wait(pause):
                return
            pause = LOAD_PAUSE_SECONDS
            with suppress(AlsoboughtError):  # the first request reports it
                library.entry(name)

    def stop() -> None:
        stopped.set()
        thread.join()

    thread = threading.Thread(target=load, name="load-pipes", daemon=True)
    thread.start()
    return stop


def _begin_request() -> None:
    requested = request.headers.get("X-Request-Id", "")
    g.request_id = requested if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", requested) else uuid.uuid4().hex[:16]
    g.started = time.perf_counter()
    request_id.set(g.request_id)
    traceparent, tracestate = (request.headers.get(name, "") for name in ("traceparent", "tracestate"))
    lane, waited = request.environ.get(LANE, ""), request.environ.get(WAITED, 0.0)
    is_scrape = request.path in UNTRACED
    span = None if is_scrape else tracing.begin_request(request.method, traceparent, tracestate, lane, waited)
    if span:
        g.span = span
    trace.set(span.ids if span else trace_context(traceparent))


def _end_request(_: BaseException | None) -> None:
    if span := g.get("span"):
        span.end()
    trace.set(NO_TRACE)
    request_id.set("")  # the thread continues with other work


def _finish_response(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    add_security_headers(response)
    protect(response)
    blueprint, _, function = (request.endpoint or "").partition(".")
    if blueprint in POSTS and request.method in ("POST", "DELETE"):
        app_metrics().posted(function, response.status_code, time.perf_counter() - g.started)
    if span := g.get("span"):
        span.answered(request.url_rule.rule if request.url_rule else "", response.status_code, **g.get("answered", {}))
    log_access(request.method, without_secrets(request.path), response.status_code, g.started)
    return response
