"""Headers that tell browsers what a response may do; and CORS for the pages of browser keys."""

from __future__ import annotations

from typing import cast

from flask import Response, current_app, request

from alsobought.access.gate import Gate

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE = {
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
OF_DATA = ALWAYS | {"Content-Security-Policy": DATA_POLICY}
TRANSPORT = "max-age=31536000; includeSubDomains"
EXPOSED_HEADERS = [
    "Date",
    "X-Request-Id",
    "Recommendation-Id",
    "Retry-After",
    "ETag",
    "Content-Disposition",
    "Deprecation",
    "Link",
    "RateLimit",
    "RateLimit-Policy",
]  # to scripts of other origins


def add_security_headers(response: Response) -> Response:
    """HSTS only where the request came through TLS: a proxy reports it in X-Forwarded-Proto."""
    for name, value in (ALWAYS | PAGE if response.mimetype == "text/html" else OF_DATA).items():
        response.headers[name] = value
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = TRANSPORT
    return response


def allow_origins_of_keys(response: Response) -> Response:
    """CORS for the origins of browser keys, besides those of ALSOBOUGHT_CORS. Cookies are never allowed along."""
    origin = request.headers.get("Origin", "")
    gate = cast(Gate, current_app.extensions["gate"])
    if not origin or request.path.startswith("/workbench") or "Access-Control-Allow-Origin" in response.headers:
        return response
    if not gate.knows_origin(origin.lower()):
        return response
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers.add("Vary", "Origin")
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST"
        response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type"
        response.headers["Access-Control-Max-Age"] = "600"
    else:
        response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED_HEADERS)
    return response
