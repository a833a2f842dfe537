"""What is on the port of administrators alone, if there is one (`ALSOBOUGHT_ADMIN_PORT`).

That port has everything; the public one answers for these as for a path that does not exist. The port is that of the socket, which
no header changes.
"""

from __future__ import annotations

from contextlib import suppress

from flask import current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from alsobought.web.context import service
from alsobought.web.http.wsgi import PORT

BLUEPRINTS = frozenset({"workbench", "sessions", "editing", "audit", "experiments", "why"})
ENDPOINTS = frozenset({"service.page", "service.metrics"})
PUBLIC_FILES = frozenset({"docs.css"})  # of the API reference


def hide_from_public_port() -> None:
    """Runs before every request. Raises NotFound."""
    admin_port = service().settings.admin_port
    if not admin_port or request.environ.get(PORT) == admin_port:
        return
    if is_of_administrators(_endpoint(), (request.view_args or {}).get("filename", "")):
        request.url_rule = None  # so that no header differs from those of another path
        raise NotFound


def is_of_administrators(endpoint: str, filename: str = "") -> bool:
    """True if only the port of administrators has this endpoint, or of the endpoint `static` this file."""
    if endpoint == "static":
        return filename not in PUBLIC_FILES
    return endpoint in ENDPOINTS or endpoint.partition(".")[0] in BLUEPRINTS


def _endpoint() -> str:
    """The endpoint of the path, also where it does not take the method."""
    if isinstance(error := request.routing_exception, MethodNotAllowed) and error.valid_methods:
        adapter = current_app.create_url_adapter(request)
        with suppress(HTTPException):
            if adapter:
                return str(adapter.match(method=min(error.valid_methods))[0])
    return request.endpoint or ""
