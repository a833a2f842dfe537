"""Enforce access: what each endpoint needs, who asks, and what a principal may not do.

NEEDS is the one table. An endpoint without an entry needs the scope `admin`, and a test fails. Everything goes by the endpoint that
Flask has matched, so that no spelling of a path gets past.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import lru_cache
from typing import cast
from urllib.parse import unquote_plus

from flask import Response, current_app, g, request

from alsobought.access.addresses import split_url
from alsobought.access.credentials import PUBLIC, SECRET
from alsobought.access.gate import Gate
from alsobought.access.limits import rate_headers
from alsobought.access.scopes import (
    ADMIN,
    ANONYMOUS,
    ANY_ORIGIN,
    EVENTS,
    OPEN,
    READ,
    Principal,
    may,
)
from alsobought.access.tokens import is_token
from alsobought.errors import NotAllowed, NotAuthenticated, TooManyRequests
from alsobought.settings import trusted_proxies
from alsobought.web.context import metrics, service
from alsobought.web.envelope import KEY, take_envelope

log = logging.getLogger(__name__)

COOKIE = "alsobought_session"
NOTHING = ""  # no key
PIPES = "the pipes that the caller may ask"  # checked by `web.pipe_access`
WEBHOOK = "events:write and users:write, or the webhook's secret"
MERGE = "users:write, or a token with events:write for guests of the user's browser"  # which the endpoint compares
NEEDS: Mapping[str, str] = {
    "static": NOTHING,
    "service.page": NOTHING,
    "service.healthz": NOTHING,
    "service.readyz": NOTHING,
    "service.metrics": "metrics",
    "service.openapi": READ,
    "service.docs": READ,
    "kit.get_file": NOTHING,
    "pipes.list_pipes": PIPES,
    "pipes.answer_pipe": PIPES,
    "surfaces.recommend": PIPES,
    "surfaces.recommend_on": PIPES,
    "tokens.post_tokens": PIPES,
    "intake.post_events": EVENTS,
    "intake.merge_users": MERGE,
    "intake.unmerge_users": "users:write",
    "webhooks.post_webhook": WEBHOOK,
    "items.post_items": "items:write",
    "items.get_item": "items:read",
    "items.delete_item": "items:write",
    "users.post_users": "users:write",
    "users.get_user": "users:read",
    "users.delete_user": "users:write",
    "audit.show_audit": ADMIN,
    "workbench.show_permissions": NOTHING,
    "sessions.log_in": "edit",
    "sessions.log_out": NOTHING,
    "workbench.show_pipe": "edit",
    "workbench.show_sql": "edit",
    "workbench.show_plan": "edit",
    "workbench.show_live": "edit",
    "why.show_why": "edit",
    "experiments.show_experiments": "edit",
    "experiments.show_experiment": "edit",
    "editing.check_draft": "edit",
    "editing.preview": "edit",
    "editing.save_draft": "edit",
    "editing.cases": "edit",
}
HOW = "Send a key as `Authorization: Bearer ab_secret_…`; `alsobought key create` makes one"


def gate() -> Gate:
    return cast(Gate, current_app.extensions["gate"])


def principal() -> Principal:
    """Who sends the current request."""
    return cast(Principal, g.principal)


FORWARDED = "X-Forwarded-For"
PROXY_FIX = "werkzeug.proxy_fix.orig"  # what the environment had before a trusted proxy was believed


def address() -> str:
    """The caller's address, as limits count it."""
    peer = request.environ.get(PROXY_FIX, request.environ).get("REMOTE_ADDR", "")
    if FORWARDED in request.headers and not trusted_proxies(service().settings):
        _warn_of_proxy(peer)
    return gate().address(peer, request.headers.getlist(FORWARDED))


@lru_cache(10)
def _warn_of_proxy(peer: str) -> None:
    log.warning("%s forwards requests of others, who share its limit: is it in ALSOBOUGHT_TRUSTED_PROXIES?", peer)


def enforce() -> None:
    """Runs before every request. Raises NotAuthenticated, NotAllowed, TooManyRequests."""
    g.principal = ANONYMOUS
    if gate().is_secret(unquote_plus(request.environ.get("RAW_URI") or request.full_path)):
        raise NotAuthenticated(
            "a secret key is in the URL, where logs and proxies keep it",
            "Send it as `Authorization: Bearer …`, and make a new one with `alsobought key rotate`",
        )
    if request.endpoint is None or request.method == "OPTIONS":
        return  # no such path, or a question of a browser about one
    need = NEEDS.get(request.endpoint, ADMIN)
    if need == WEBHOOK and service().settings.webhook_secret and not _has_key():
        return  # the endpoint compares the secret
    asking = g.principal = _authenticated(need)
    if need != NOTHING:
        _admit(asking)
        _require_origin(asking)
        _require(asking, need)


def _has_key() -> bool:
    credential = _bearer()
    return credential.startswith((SECRET, PUBLIC)) or gate().is_admin_key(credential)


def _bearer() -> str:
    scheme, _, value = request.headers.get("Authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def _authenticated(need: str) -> Principal:
    """The principal of the request's key or token. Raises NotAuthenticated."""
    door, from_header = gate(), _bearer()
    credential = from_header or _public_key(need)
    if not credential and door.needed:
        with suppress(NotAllowed) if need == NOTHING else nullcontext():
            if asking := _of_session():
                g.by_session = True
                return asking
    if not credential:
        if door.needed and need != NOTHING:
            raise NotAuthenticated(*_missing())
        return ANONYMOUS if door.needed else OPEN
    try:
        asking = door.authenticate(credential, address)
    except (NotAuthenticated, TooManyRequests):
        if not door.needed:
            return OPEN  # it may be a proxy's or a webhook's
        if need == NOTHING:
            return ANONYMOUS
        raise
    if not from_header and asking.kind == "secret":
        raise NotAuthenticated("a secret key is in the URL or in the body", "Send it as `Authorization: Bearer …`")
    g.credential = credential
    return asking


def _of_session() -> Principal | None:
    """The principal of a login.

    Raises NotAllowed where another site's page sends the request, to which the browser has added the cookie.
    """
    cookie = request.cookies.get(COOKIE, "")
    asking = gate().of_session(cookie) if cookie else None
    if asking is None:
        return None
    reads_only = request.method in ("GET", "HEAD")
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin", "")
    own = site in ("same-origin", "none") if site else reads_only or bool(origin)
    if not own or (origin and split_url(origin).netloc != request.host) or (site == "none" and not reads_only):
        raise NotAllowed("only the page of this service may use its login", "Programs send a key in Authorization")
    return asking


def _missing() -> tuple[str, str]:
    if request.headers.get("Authorization"):
        return "the header Authorization has no key", HOW
    return "this needs a key", HOW


def _public_key(need: str) -> str:
    """The browser key or token in the query, or in the body of posted events: `navigator.sendBeacon` sets no headers."""
    given = [value for value in request.args.getlist(KEY) if value.startswith(PUBLIC) or is_token(value)]
    if len(given) > 1:
        raise NotAuthenticated(f"?{KEY}= occurs twice", "Send one key")
    if not given and need == EVENTS and request.method == "POST":
        return take_envelope()
    return given[0] if given else ""


def _admit(asking: Principal) -> None:
    verdict = gate().admit(asking, address)
    if verdict is None:
        return
    g.rate_headers = rate_headers(verdict)
    if not verdict.allowed:
        whose = "this address" if asking.in_browsers else f"the key {asking.id}"
        raise TooManyRequests(
            f"{whose} may send {verdict.rate} requests", f"Try again in {g.rate_headers['Retry-After']} seconds"
        )


def _require_origin(asking: Principal) -> None:
    """A browser key is valid on pages of its origins, a token with an origin on pages of that one."""
    if not asking.origins or ANY_ORIGIN in asking.origins:
        return
    origin = request.headers.get("Origin", "")
    if not origin and (referrer := split_url(request.headers.get("Referer", ""))).netloc:
        origin = f"{referrer.scheme}://{referrer.netloc}"
    if origin.lower() not in asking.origins:
        kind = "token" if asking.kind == "token" else f"key {asking.id}"
        problem = (
            f"is not valid on pages of {origin[:60]!r}" if origin else "is valid in browsers only: there is no Origin"
        )
        raise NotAllowed(f"the {kind} {problem}", f"It is for {', '.join(asking.origins)}; servers use secret keys")


def _require(asking: Principal, need: str) -> None:
    if asking.kind == "open":
        return
    if need == PIPES:
        if not (may(asking, READ) or any(scope.startswith(f"{READ}:") for scope in asking.scopes)):
            raise lacking(asking, READ)
        return
    if need == MERGE:
        if asking.kind == "token" and may(asking, EVENTS):
            return
        need = "users:write"
    for scope in (EVENTS, "users:write") if need == WEBHOOK else (need,):
        if not may(asking, scope):
            raise lacking(asking, scope)
    if asking.in_browsers and need != EVENTS:
        raise NotAllowed("this takes a secret key", HOW)


def lacking(asking: Principal, scope: str) -> NotAllowed:
    name = "the token" if asking.kind == "token" else f"the key {asking.id}"
    hint = f"Create a key with `alsobought key create NAME --scope {scope}`"
    return NotAllowed(f"{name} lacks the scope {scope}", hint)


def protect(response: Response) -> Response:
    """The headers that access adds to a response."""
    for name, value in g.get("rate_headers", {}).items():
        response.headers[name] = value
    if response.status_code in (401, 403, 429):
        metrics().turned_away(response.status_code)
        response.headers["Cache-Control"] = "no-store"
    if gate().needed and NEEDS.get(request.endpoint or "", NOTHING) != NOTHING:
        response.headers.add("Vary", "Authorization")
        response.headers.setdefault("Cache-Control", "private, no-store")
    return response
