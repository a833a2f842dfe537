"""OpenAPI components of all operations: headers, JSON responses, errors with examples."""

from __future__ import annotations

from typing import Any

import msgspec

from alsobought.errors import Detail, error_json
from alsobought.web.error_handlers import IN_THE_LOG
from alsobought.web.json_schemas import ref

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {"description": "The id of the request, also in the log and in the body.", "required": True},
    "Recommendation-Id": {"description": "The id of this answer, which events about its items bring back."},
    "ETag": {"description": "Send it as If-None-Match: 304 while the rows are the same."},
    "Cache-Control": {
        "description": "Always no-cache: revalidate each time, since an event may make any answer stale."
    },
    "Vary": {"description": "Accept: one URL has several formats."},
    "Content-Disposition": {"description": "The file name of CSV and Parquet."},
    "Deprecation": {"description": "The request has a deprecated parameter: the date since when (RFC 9745)."},
    "Link": {"description": "The URL of the next page, if there may be one: rel=next (RFC 8288)."},
    "Retry-After": {"description": "Seconds after which to retry."},
    "Allow": {"description": "The allowed methods."},
    "WWW-Authenticate": {"description": "Bearer: send a key or a token, or sign the body of a webhook."},
    "RateLimit": {"description": 'The requests that are left, and the seconds until all are: `"requests";r=599;t=1`.'},
    "RateLimit-Policy": {"description": 'The limit of this key or address: `"requests";q=600;w=60`.'},
}
ERRORS: dict[str, tuple[str, str, str, str]] = {
    "400": ("Invalid request.", "bad_request", "the body is not a JSON object", 'Send {"item_id": "…"}'),
    "401": (
        "A key, a token or a webhook's secret is missing or not valid.",
        "not_authenticated",
        "this needs a key",
        "Send a key as `Authorization: Bearer ab_secret_…`",
    ),
    "403": (
        "The key, the token or the origin may not do this.",
        "not_allowed",
        "the key k3v9x0q2ma lacks the scope items:write",
        "Create a key with `alsobought key create NAME --scope items:write`",
    ),
    "404": ("Not found.", "no_such_pipe", "no pipe called also_bougt", "Did you mean also_bought?"),
    "405": (
        "Method not allowed.",
        "method_not_allowed",
        "the method PUT is not allowed here",
        "Use GET or POST",
    ),
    "406": (
        "No acceptable format.",
        "not_acceptable",
        "none of the formats in Accept is available",
        "Use application/json, …",
    ),
    "413": ("Too large.", "too_large", "the body is larger than 16,777,216 bytes", "Send it in parts"),
    "415": (
        "The body is compressed in an unknown way.",
        "unsupported_encoding",
        "Content-Encoding: 'br' is not supported",
        "Send gzip or deflate, or neither",
    ),
    "429": (
        "The limit of the key or of the address.",
        "too_many_requests",
        "this address may send 600/minute requests",
        "Try again in 3 seconds",
    ),
    "500": ("Internal error.", "internal", "internal error", IN_THE_LOG),
    "503": (
        "Temporarily unavailable: retry.",
        "busy",
        "the writer is busy",
        "Nothing was stored: send the same request again in a second",
    ),
    "504": ("The query exceeded a limit.", "too_slow", "the query exceeded a limit", "Request less"),
}
KEYED = ("401", "403", "429")  # of each operation that may need a key
INVALID_LIMIT = Detail("limit", "'x' is not a whole number between 1 and 100")


def json_response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {"description": description, "headers": header_refs("X-Request-Id"), "content": content}


def header_components() -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}, **header} for name, header in HEADERS.items()}


def header_refs(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def error_components() -> dict[str, Any]:
    return {f"Error{status}": _error_response(status) for status in ERRORS}


def error_refs(*statuses: str) -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/Error{status}"} for status in sorted(statuses)}


def _error_response(status: str) -> dict[str, Any]:
    description, code, message, hint = ERRORS[status]
    examples = {code: {"value": _example(code, message, hint)}}
    if status == "400":
        problem = f"{INVALID_LIMIT.param}: {INVALID_LIMIT.problem}"
        examples["bad_parameters"] = {"value": _example("bad_parameters", problem, "", INVALID_LIMIT)}
    headers = {
        "503": ["Retry-After"],
        "504": ["Retry-After"],
        "405": ["Allow"],
        "406": ["Vary"],
        "401": ["WWW-Authenticate"],
        "429": ["Retry-After", "RateLimit", "RateLimit-Policy"],
    }.get(status, [])
    response = json_response(description, ref("Error"))
    response["content"]["application/json"]["examples"] = examples
    return response | {"headers": header_refs("X-Request-Id", *headers)}


def _example(code: str, message: str, hint: str, *details: Detail) -> Any:
    return msgspec.to_builtins(error_json(code, message, hint, details, "5c27ff86fe1f4a36"))
