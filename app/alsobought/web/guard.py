"""Who may look inside (SQL, lineage, arriving events), and who may edit.

What a reader would guess wrong: that a service listens on 127.0.0.1 only does not make its callers friends. A page of
another site can make a browser on this machine call it (hence Origin and a header that only our page sends), a name of
that site may come to mean 127.0.0.1 (hence the names in Host), and a proxy may pass on the world (hence its headers).
"""

from __future__ import annotations

import ipaddress

from werkzeug import Request

from alsobought.errors import NotAllowed
from alsobought.settings import Settings, hosts_for_editing, origins

HEADER = "X-Workbench"
PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it.

    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "10.0.0.7", "localhost.example")]
    [True, True, True, False, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_look(settings: Settings, request: Request, *, edit: bool) -> bool:
    """Whether this request is answered with what is inside."""
    if settings.workbench != "auto":
        return settings.workbench == "open"
    return (edit or is_loopback(settings.host)) and _comes_by_name(settings, request)


def refuse_to_show(settings: Settings, request: Request, *, edit: bool) -> None:
    """Raises NotAllowed."""
    if not may_look(settings, request, edit=edit):
        raise NotAllowed(
            "the workbench is closed here", "ALSOBOUGHT_WORKBENCH=open opens it to everybody who reaches this service"
        )


def refuse_to_edit(settings: Settings, request: Request) -> None:
    """Only our own page, opened by a name that is listed. Raises NotAllowed."""
    if not _comes_by_name(settings, request):
        raise NotAllowed(
            f"nothing is edited by way of {_host(request)[:60]!r}",
            "Use this machine's own address, or name the host in ALSOBOUGHT_EDIT_HOSTS",
        )
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", request.host_url.rstrip("/"))
    if HEADER not in request.headers or site != "same-origin" or origin.partition("://")[2] != request.host:
        raise NotAllowed("only the page of this service may edit", f"Programs send the header {HEADER}: 1")


def refuse_other_sites(settings: Settings, request: Request) -> None:
    """A page of another site can make a browser post here, and what is stored cannot be taken back. Raises NotAllowed."""
    origin = request.headers.get("Origin", "")
    allowed = origins(settings)
    if not origin or origin.partition("://")[2] == request.host or origin in allowed or "*" in allowed:
        return
    raise NotAllowed(f"pages of {origin[:60]!r} may not post here", "Name it in ALSOBOUGHT_CORS")


def _comes_by_name(settings: Settings, request: Request) -> bool:
    """Whether the browser asked for one of the names that are known to mean us."""
    host = _host(request)
    if host in hosts_for_editing(settings):
        return True
    passed_on = any(name in request.headers for name in PASSED_ON) or _is_old(request)
    return is_loopback(host) and is_loopback(request.remote_addr or "") and not passed_on


def _is_old(request: Request) -> bool:
    """HTTP/1.0 is what proxies speak that say nothing of themselves; no browser does."""
    return str(request.environ.get("SERVER_PROTOCOL")) == "HTTP/1.0"


def _host(request: Request) -> str:
    """The name in Host, without its port."""
    name = request.host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]
