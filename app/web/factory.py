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

from app.errors import AlsoboughtError
from app.logs import log_access, request_id
from app.settings import Settings, origins
from app.shop import Shop, open_shop
from app.web.endpoints import blueprint
from app.web.metrics import Metrics

log = logging.getLogger(__name__)

CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "bad_request"}
OUR_WORDS = {  # the engine's own words stay in the log
    "too_slow": "the answer was stopped by a limit",
    "warehouse_fault": "the warehouse does not answer",
}
PAGE_POLICY = "default-src 'self'; img-src 'self' data: https:"


def create_app(shop: Shop) -> Flask:
    """The application on a running shop; closing the shop is the caller's."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = shop.settings.max_body_bytes
    app.extensions["shop"] = shop
    app.extensions["metrics"] = Metrics(shop)
    app.register_blueprint(blueprint)
    if allowed := origins(shop.settings):
        CORS(app, origins=allowed, expose_headers=["X-Request-Id", "Retry-After"], max_age=600)
    app.before_request(_name_request)
    app.after_request(_finish)
    app.teardown_request(_forget_request)
    app.register_error_handler(AlsoboughtError, _our_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)
    return app


def served_app(settings: Settings) -> Flask:
    """The application and the shop under it, closed when the process ends."""
    shop = open_shop(settings)
    atexit.register(shop.close)
    return create_app(shop)


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


def error_body(code: str, message: str, hint: str = "", details: tuple[object, ...] = ()) -> dict[str, object]:
    """The one shape of every error."""
    error = {"code": code, "message": message, "hint": hint, "details": details}
    return {"error": error, "request_id": g.get("request_id", "")}


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
        message, hint = OUR_WORDS[error.code], "The log has more under this request_id"
    return _respond(error.status, error_body(error.code, message, hint, error.details))


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status == 413:
        limit = request.max_content_length or 0
        return _respond(413, error_body("too_large", f"the body is larger than {limit:,} bytes", "Send it in parts"))
    hints = {404: "GET /pipes lists the pipes; /openapi.json describes everything", 405: "Try GET or POST"}
    message = {404: f"there is nothing at {request.path}", 405: f"{request.method} does not work here"}.get(status, "")
    return _respond(
        status,
        error_body(CODES.get(status, "bad_request"), message or (error.name or "").lower(), hints.get(status, "")),
    )


def _asked() -> str:
    """The request as the log names it."""
    return f"{request.method} {request.path}"


def _unexpected(error: Exception) -> Response:
    if not isinstance(error, AlsoboughtError):
        log.exception("%s failed", _asked())
    body = error_body("internal", "something went wrong on our side", "The log has it under this request_id")
    return _respond(500, body)
