"""Enforce access: what each endpoint needs, who asks, and what a principal may not do.

NEEDS is the one table. An endpoint without an entry needs the scope `admin`, and a test fails. Everything goes by the endpoint that
Flask has matched, so that no spelling of a path gets past.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from typing import Any, cast
from urllib.parse import unquote_plus, urlsplit

from flask import Response, current_app, g, request

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
    may_ask,
    reads,
)
from alsobought.access.tokens import is_token
from alsobought.errors import NoSuchPipe, NotAllowed, NotAuthenticated, TooManyRequests
from alsobought.pipes.audience import Audience, audience
from alsobought.pipes.pipe import Pipe, is_provided
from alsobought.web.context import metrics, service
from alsobought.web.envelope import KEY, take_envelope

COOKIE = "alsobought_session"
NOTHING = ""  # no key
PIPES = "the pipes that the caller may ask"  # checked by `authorize_pipe` and `may_list`
WEBHOOK = "events:write and users:write, or the webhook's secret"
NEEDS: Mapping[str, str] = {
    "static": NOTHING,
    "service.page": NOTHING,
    "service.healthz": NOTHING,
    "service.readyz": NOTHING,
    "service.metrics": "metrics",
    "service.openapi": READ,
    "service.docs": READ,
    "pipes.list_pipes": PIPES,
    "pipes.answer_pipe": PIPES,
    "tokens.post_tokens": PIPES,
    "intake.post_events": EVENTS,
    "intake.merge_users": "users:write",
    "intake.unmerge_users": "users:write",
    "webhooks.post_webhook": WEBHOOK,
    "items.post_items": "items:write",
    "items.get_item": "items:read",
    "items.delete_item": "items:write",
    "users.post_users": "users:write",
    "users.get_user": "users:read",
    "users.delete_user": "users:write",
    "workbench.show_permissions": NOTHING,
    "sessions.log_in": "edit",
    "sessions.log_out": NOTHING,
    "workbench.show_pipe": "edit",
    "workbench.show_sql": "edit",
    "workbench.show_plan": "edit",
    "workbench.show_live": "edit",
    "editing.check_draft": "edit",
    "editing.preview": "edit",
    "editing.save_draft": "edit",
    "editing.cases": "edit",
}
AUDIENCE_SECONDS, MAX_AUDIENCES = 1.0, 10_000
HOW = "Send a key as `Authorization: Bearer ab_secret_…`; `alsobought key create` makes one"


def gate() -> Gate:
    return cast(Gate, current_app.extensions["gate"])


def principal() -> Principal:
    """Who sends the current request."""
    return cast(Principal, g.principal)


def address() -> str:
    """The caller's address, as limits count it."""
    return gate().address(request.environ.get("REMOTE_ADDR", ""), request.headers.getlist("X-Forwarded-For"))


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
            if found := _of_session():
                return found
    if not credential:
        if door.needed and need != NOTHING:
            raise NotAuthenticated(*_missing())
        return ANONYMOUS if door.needed else OPEN
    try:
        found = door.authenticate(credential, address)
    except (NotAuthenticated, TooManyRequests):
        if not door.needed:
            return OPEN  # it may be a proxy's or a webhook's
        if need == NOTHING:
            return ANONYMOUS
        raise
    if not from_header and found.kind == "secret":
        raise NotAuthenticated("a secret key is in the URL or in the body", "Send it as `Authorization: Bearer …`")
    g.credential = credential
    return found


def _of_session() -> Principal | None:
    """The principal of a login.

    Raises NotAllowed where another site's page sends the request, to which the browser has added the cookie.
    """
    cookie = request.cookies.get(COOKIE, "")
    found = gate().of_session(cookie) if cookie else None
    if found is None:
        return None
    reads_only = request.method in ("GET", "HEAD")
    site = request.headers.get("Sec-Fetch-Site", "")
    origin = request.headers.get("Origin", "")
    own = site in ("same-origin", "none") if site else reads_only or bool(origin)
    if not own or (origin and urlsplit(origin).netloc != request.host) or (site == "none" and not reads_only):
        raise NotAllowed("only the page of this service may use its login", "Programs send a key in Authorization")
    return found


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
    if not origin and (referrer := urlsplit(request.headers.get("Referer", ""))).netloc:
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
            raise _lacking(asking, READ)
        return
    for scope in (EVENTS, "users:write") if need == WEBHOOK else (need,):
        if not may(asking, scope):
            raise _lacking(asking, scope)
    if asking.in_browsers and need != EVENTS:
        raise NotAllowed("this takes a secret key", HOW)


def _lacking(asking: Principal, scope: str) -> NotAllowed:
    name = "the token" if asking.kind == "token" else f"the key {asking.id}"
    hint = f"Create a key with `alsobought key create NAME --scope {scope}`"
    return NotAllowed(f"{name} lacks the scope {scope}", hint)


# Pipes


def audience_of(pipe: Pipe) -> Audience:
    """Whose data a pipe shows, with its fallbacks, which are looked at again after AUDIENCE_SECONDS."""
    known: dict[tuple[str, str], tuple[float, Audience]] = current_app.extensions.setdefault("audiences", {})
    key = (pipe.name, pipe.version)
    now = time.monotonic()
    if (found := known.get(key)) and now - found[0] < AUDIENCE_SECONDS:
        return found[1]
    made = audience(pipe, _find_pipe)
    known[key] = (now, made)
    if len(known) > MAX_AUDIENCES:
        known.clear()
    return made


def _find_pipe(name: str) -> Pipe | None:
    with suppress(NoSuchPipe):
        return service().library.entry(name).pipe
    return None


def may_list(pipe: Pipe) -> bool:
    """True if the caller may ask this pipe with some parameters."""
    asking, users = principal(), audience_of(pipe)
    given = users.needed & asking.fixed.keys()
    return may_ask(asking, pipe.name, users, given)


def authorize_pipe(name: str, raw: dict[str, list[Any]]) -> None:
    """Check that the caller may ask this; fill in what a token fixes. Raises NotAllowed, NoSuchPipe, PipeBroken."""
    asking = principal()
    if asking.kind == "open":
        return
    if not reads(asking, name):
        raise _lacking(asking, f"{READ}:{name}")
    if asking.kind == "secret":
        return
    pipe = service().library.answering(name, raw)
    users = audience_of(pipe)
    if asking.kind == "token":
        _fill_in(asking, pipe, raw)
    given = {p.name for p in pipe.parameters if any(is_provided(raw, alias) for alias in (p.name, *p.former_names))}
    if not may_ask(asking, name, users, given):
        shown = ", ".join(sorted(users.parameters & given or users.columns or users.needed)) or "a user"
        if asking.kind == "token":
            raise NotAllowed(f"the token does not cover the pipe {name} with these parameters", f"It is about {shown}")
        raise NotAllowed(
            f"a browser key cannot ask {name} about {shown}",
            "Ask from the server with a secret key, or with a token: POST /tokens",
        )


def _fill_in(token: Principal, pipe: Pipe, raw: dict[str, list[Any]]) -> None:
    """Give the fixed parameters, under their present names. Raises NotAllowed for another value, or one that is repeated."""
    for parameter in pipe.parameters:
        if (value := token.fixed.get(parameter.name)) is None:
            continue
        for alias in (parameter.name, *parameter.former_names):
            if alias in raw and is_provided(raw, alias) and list(raw[alias]) != [value]:
                raise NotAllowed(f"the token fixes {parameter.name}", f"Leave out {alias}: it is filled in")
            raw.pop(alias, None)
        raw[parameter.name] = [value]


# Responses


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
