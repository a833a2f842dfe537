"""Turn every exception into the one JSON error body, with its status and headers."""

from __future__ import annotations

import logging

import msgspec
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from alsobought.errors import AlsoboughtError, Detail, error_json

log = logging.getLogger(__name__)

HTTP_CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "bad_request"}
IN_THE_LOG = "The server log has the details under this request_id"
PUBLIC_TEXTS = {  # instead of the texts of the database, which go to the log only
    "too_slow": ("the query exceeded a limit", f"Request less: fewer values, a smaller limit. {IN_THE_LOG}"),
    "warehouse_fault": ("the warehouse is unavailable", IN_THE_LOG),
}


def register_error_handlers(app: Flask) -> None:
    app.register_error_handler(AlsoboughtError, _handle_known)
    app.register_error_handler(HTTPException, _handle_http)
    app.register_error_handler(Exception, _handle_unexpected)


def error_body(code: str, message: str, hint: str = "", details: tuple[Detail, ...] = ()) -> dict[str, object]:
    return error_json(code, message, hint, details, g.get("request_id", ""))


def _respond(status: int, body: dict[str, object]) -> Response:
    response = Response(msgspec.json.encode(body), status, mimetype="application/json")
    if status in (503, 504):
        response.headers["Retry-After"] = "1"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def error_member(error: AlsoboughtError) -> bytes:
    """`{"error": {…}}` in place of one of several answers, whose response has another status. The error is logged."""
    return msgspec.json.encode({"error": _known_body(error)["error"]})


def _handle_known(error: AlsoboughtError) -> Response:
    return _respond(error.status, _known_body(error))


def _known_body(error: AlsoboughtError) -> dict[str, object]:
    if error.status >= 500:
        log.warning("%s: %s", _request_line(), error, exc_info=error.status == 500)
    if error.status == 500:
        return error_body("internal", "internal error", IN_THE_LOG)
    message, hint = PUBLIC_TEXTS.get(error.code, (error.message, error.hint))
    return error_body(error.code, message, hint, error.details)


def _handle_http(error: HTTPException) -> Response:
    status = error.code or 500
    if status == 413:
        limit = request.max_content_length or 0
        return _respond(413, error_body("too_large", f"the body is larger than {limit:,} bytes", "Send it in parts"))
    methods = sorted(getattr(error, "valid_methods", None) or ())
    usable = " or ".join(method for method in methods if method not in ("HEAD", "OPTIONS"))
    texts = {
        404: (f"no such path: {request.path}", "GET /pipes lists the pipes; /openapi.json describes the API"),
        405: (f"the method {request.method} is not allowed here", f"Use {usable}"),
    }
    message, hint = texts.get(status, ((error.name or "").lower(), ""))
    response = _respond(status, error_body(HTTP_CODES.get(status, "bad_request"), message, hint))
    if methods:
        response.headers["Allow"] = ", ".join(methods)
    return response


def _request_line() -> str:
    """Method and path, without the id of a user: the log outlives an erasure."""
    names_user = "user_id" in (request.view_args or {})
    return f"{request.method} {'/users/…' if names_user else request.path}"


def _handle_unexpected(_error: Exception) -> Response:
    log.exception("%s failed", _request_line())
    return _respond(500, error_body("internal", "internal error", IN_THE_LOG))
