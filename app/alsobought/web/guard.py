"""Access control for the workbench, for editing, and for posts from other origins.

Listening on 127.0.0.1 does not make every client trusted. A page of another site can make a browser
on this machine send requests (so editing checks Origin, and a header that only our page sends);
that site's name can resolve to 127.0.0.1 (so the name in Host is checked); and a proxy on this
machine can forward requests from anywhere (so proxy headers are checked).
"""

from __future__ import annotations

import ipaddress

from flask import g
from werkzeug import Request

from alsobought.errors import NotAllowed
from alsobought.settings import Settings, hosts_for_editing, origins
from alsobought.web.access import gate
from alsobought.web.hosts import host_name

EDIT_HEADER = "X-Workbench"
PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def is_loopback(host: str) -> bool:
    """True if only this machine can reach the host.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.7", "localhost.example")]
    [True, True, True, False, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def only_this_machine(settings: Settings) -> bool:
    """True if no other machine reaches a port of the service."""
    return is_loopback(settings.host) and (not settings.admin_port or is_loopback(settings.admin_host))


def page_host(settings: Settings) -> str:
    """The address under which the page is served: that of administrators, if they have a port of their own."""
    return settings.admin_host if settings.admin_port else settings.host


def may_view(settings: Settings, request: Request, *, edit: bool) -> bool:
    """True if this client may use the workbench."""
    if settings.workbench != "auto":
        return settings.workbench == "open"
    return (edit or is_loopback(page_host(settings))) and _is_addressed_by_trusted_name(settings, request)


def require_viewer(settings: Settings, request: Request, *, edit: bool) -> None:
    """Raises NotAllowed."""
    if not may_view(settings, request, edit=edit):
        raise NotAllowed(
            "the workbench is closed to this client",
            "Open it on the service's machine, or log in with a key: `alsobought key create NAME --role analyst`",
        )


def require_editor(settings: Settings, request: Request) -> None:
    """Raises NotAllowed unless our own page sends the request, under a trusted host name."""
    if not _is_addressed_by_trusted_name(settings, request):
        raise NotAllowed(
            f"editing is not allowed under the host name {host_name(request.host)[:60]!r}",
            "Open the page as 127.0.0.1 on this machine, or log in with a key: `alsobought key create NAME --role analyst`",
        )
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", request.host_url.rstrip("/"))
    if EDIT_HEADER not in request.headers or site != "same-origin" or origin.partition("://")[2] != request.host:
        raise NotAllowed("only the page of this service may edit pipes", f"Programs send the header {EDIT_HEADER}: 1")


def require_allowed_origin(settings: Settings, request: Request) -> None:
    """Raises NotAllowed for a page whose origin is neither ours nor in ALSOBOUGHT_CORS."""
    origin = request.headers.get("Origin", "")
    allowed = origins(settings)
    if not origin or origin.partition("://")[2] == request.host or origin in allowed or "*" in allowed:
        return
    if g.principal.in_browsers and (g.principal.origins or gate().knows_origin(origin.lower())):
        return  # `web.access` has compared them; a token without an origin is for the pages of browser keys
    raise NotAllowed(
        f"pages of {origin[:60]!r} may not post here", "Add the origin to ALSOBOUGHT_CORS, or use a browser key"
    )


def _is_addressed_by_trusted_name(settings: Settings, request: Request) -> bool:
    """True if Host is a listed name, or loopback in a direct connection from this machine."""
    host = host_name(request.host)
    if host in hosts_for_editing(settings):
        return True
    proxied = any(name in request.headers for name in PROXY_HEADERS) or _is_http_1_0(request)
    return is_loopback(host) and is_loopback(request.remote_addr or "") and not proxied


def _is_http_1_0(request: Request) -> bool:
    """No browser speaks HTTP/1.0, but proxies do that add no header of their own."""
    return str(request.environ.get("SERVER_PROTOCOL")) == "HTTP/1.0"
