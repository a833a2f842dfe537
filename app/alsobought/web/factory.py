"""The Flask application: `create_app(shop)` in tests, `served_app(settings)` in a worker of gunicorn."""

from __future__ import annotations

import atexit
import logging
import re
import time
import uuid

import msgspec
from flask import Flask, Response, g, request
from flask_cors import CORS
from werkzeug.exceptions import HTTPException

from alsobought.errors import AlsoboughtError, Detail, error_json
from alsobought.logs import log_access, request_id
from alsobought.service.ipc_server import IpcServer
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings, hosts_for_editing, origins
from alsobought.web import editing, workbench
from alsobought.web.endpoints import blueprint
from alsobought.web.live_events import Live
from alsobought.web.metrics import Metrics
from alsobought.web.write_slots import Places

log = logging.getLogger(__name__)

CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "bad_request"}
IN_THE_LOG = "The log has more under this request_id"
OUR_WORDS = {  # the engine's own words stay in the log
    "too_slow": ("the answer was stopped by a limit", f"Ask for less: fewer values, a smaller limit. {IN_THE_LOG}"),
    "warehouse_fault": ("the warehouse does not answer", IN_THE_LOG),
}
EXPOSED = ["X-Request-Id", "Retry-After", "ETag", "Content-Disposition"]  # to scripts of other origins
NOT_THE_WORKBENCH = r"^/(?!workbench(?:/|$))"  # what browsers of listed origins may call
PAGE_POLICY = "default-src 'self'; img-src 'self' data: https:"


def create_app(shop: Service, monitor: Monitor | None = None, *, edit: bool = False) -> Flask:
    """The application on a running shop; closing the shop and its monitor is the caller's. With `edit` pipes can be changed."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = shop.settings.max_body_bytes
    app.extensions["shop"] = shop
    app.extensions["metrics"] = Metrics(shop, monitor)
    app.extensions["places"] = Places(shop.settings.threads)
    app.extensions["live"] = Live(shop, monitor)
    app.extensions["editing"] = edit
    app.register_blueprint(blueprint)
    app.register_blueprint(workbench.blueprint)
    if edit:
        app.register_blueprint(editing.blueprint)
    if allowed := origins(shop.settings):
        CORS(app, resources=NOT_THE_WORKBENCH, origins=allowed, expose_headers=EXPOSED, max_age=600)
    app.before_request(_name_request)
    app.after_request(_finish)
    app.teardown_request(_forget_request)
    app.register_error_handler(AlsoboughtError, _our_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return app


def served_app(settings: Settings, *, edit: bool = False) -> Flask:
    """The application and the shop under it, closed when the process ends.

    With Kafka in front of a server `alsobought ingest` is who writes: this process follows.
    """
    shop = open_service(settings, writes=settings.warehouse_dsn.startswith("chdb:") or not settings.kafka)
    atexit.register(shop.close)
    shop.visibility.start()
    if folder := shop.warehouse.folder:
        atexit.register(IpcServer(folder, shop.writer, shop.warehouse.another).close)
    if shop.warehouse.embedded and settings.kafka:
        from alsobought.kafka.consumer import TopicConsumer  # not needed without Kafka

        consumer = TopicConsumer(shop.writer, settings)
        consumer.start()
        atexit.register(consumer.stop)
    monitor = Monitor(shop.writer)
    monitor.start()
    atexit.register(monitor.stop)
    if edit and (hosts := hosts_for_editing(settings)):
        log.warning("whoever reaches this service as %s may change the pipes", " or ".join(hosts))
    return create_app(shop, monitor, edit=edit)


def _name_request() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", given) else uuid.uuid4().hex[:16]
    g.started = time.perf_counter()
    request_id.set(g.request_id)


def _forget_request(_: BaseException | None) -> None:
    request_id.set("")  # the thread goes on to other things


def _finish(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.get("request_id", "")
    response.headers["X-Content-Type-Options"] = "nosniff"
    if response.mimetype == "text/html":
        response.headers["Content-Security-Policy"] = PAGE_POLICY
    log_access(request.method, request.path, response.status_code, g.started)
    return response


def error_body(code: str, message: str, hint: str = "", details: tuple[Detail, ...] = ()) -> dict[str, object]:
    return error_json(code, message, hint, details, g.get("request_id", ""))


def _respond(status: int, body: dict[str, object]) -> Response:
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _our_error(error: AlsoboughtError) -> Response:
    if error.status >= 500:
        log.warning("%s: %s", _asked(), error, exc_info=error.status == 500)
    if error.status == 500:
        return _unexpected(error)
    message, hint = error.message, error.hint
    if error.code in OUR_WORDS:
        message, hint = OUR_WORDS[error.code]
    return _respond(error.status, error_body(error.code, message, hint, error.details))


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status == 413:
        limit = request.max_content_length or 0
        return _respond(413, error_body("too_large", f"the body is larger than {limit:,} bytes", "Send it in parts"))
    methods = sorted(getattr(error, "valid_methods", None) or ())
    hints = {
        404: "GET /pipes lists the pipes; /openapi.json describes everything",
        405: f"What works is {' or '.join(method for method in methods if method not in ('HEAD', 'OPTIONS'))}",
    }
    message = {404: f"there is nothing at {request.path}", 405: f"{request.method} does not work here"}.get(status, "")
    body = error_body(CODES.get(status, "bad_request"), message or (error.name or "").lower(), hints.get(status, ""))
    response = _respond(status, body)
    if methods:
        response.headers["Allow"] = ", ".join(methods)
    return response


def _asked() -> str:
    """The request as the log names it."""
    return f"{request.method} {request.path}"


def _unexpected(error: Exception) -> Response:
    if not isinstance(error, AlsoboughtError):
        log.exception("%s failed", _asked())
    body = error_body("internal", "something went wrong on our side", "The log has it under this request_id")
    return _respond(500, body)
