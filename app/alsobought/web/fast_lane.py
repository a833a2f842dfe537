"""The fast lane: the event loop itself answers a GET whose answer is cached, without a thread and without Flask.

An answer takes this way from its second request on: Flask gives the first one, and `remember` keeps
its URL and headers, for the key or token that asked. Whether that is still valid is looked up each
time (`access.gate`). Anything unusual about a request (another method or header, two requests at
once) sends it to Flask, which decides.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import cast

import msgspec
from flask import Flask, Response, current_app, g, request

from alsobought import tracing
from alsobought.access.gate import Gate
from alsobought.access.limits import Verdict, rate_headers
from alsobought.access.scopes import ANY_ORIGIN, OPEN, Principal
from alsobought.logs import log_access
from alsobought.recommendation_ids import Placement
from alsobought.serving.answer import Answer, CacheKey
from alsobought.serving.request_log import RequestRecord
from alsobought.settings import allowed_hosts
from alsobought.surfaces.draw import Draw, Layout
from alsobought.web.formats import caching_headers, link_header, to_json
from alsobought.web.hosts import host_name, is_allowed
from alsobought.web.http.connection import SERVER, http_date
from alsobought.web.security_headers import OF_DATA

MAX_URLS, MAX_KEY = 20_000, 2_500  # and characters that identify one
MAX_RESPONSE = 16_384  # bytes: what a socket takes at once
HEALTH = b"/healthz"
REQUEST = re.compile(
    rb"GET (/(?:pipes|recommend)/[!-~]*|/healthz) HTTP/1\.1\r\n(?:[!#-'*+.^-z|~A-Z0-9-]+:[\t -~\x80-\xff]*\r\n)+\r\n"
)
# What Flask or the server would act upon. They ignore all other headers of such a request.
DECISIVE_HEADER = re.compile(
    rb"(?i)\r\n(?:cache-control|content-length|expect|http2-settings|if-none-match|transfer-encoding|upgrade"
    rb"|x-request-id):"
)
TRACEPARENT = re.compile(rb"(?i)\r\ntraceparent:[ \t]*([^\r]*)")
FORWARDED = re.compile(rb"(?i)\r\nx-forwarded-for:[ \t]*([^\r]*)")
VALUE_HEADERS = re.compile(rb"(?i)\r\n(host|accept|origin|connection|authorization):[ \t]*([^\r]*)")
# Written for each request.
OWN_HEADERS = {
    "content-length",
    "x-request-id",
    "recommendation-id",
    "etag",
    "cache-control",
    "cache-status",
    "link",
    "ratelimit",
    "ratelimit-policy",
}

HEALTH_BODY = msgspec.json.encode({"status": "alive", "version": version("alsobought")})
HEALTHY = (
    f"HTTP/1.1 200 OK\r\nServer: {SERVER}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n".encode()
    + "".join(f"{name}: {value}\r\n" for name, value in OF_DATA.items()).encode()
    + b"X-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s"
)

Key = tuple[bytes, bytes, bytes, bytes, bytes]
"""Target, Host, Accept, Origin and Authorization of a request. A Host that is not allowed gets no answer, so none is remembered."""


@dataclass(frozen=True)
class KnownUrl:
    """How to repeat a response: the key of its answer, the parameters to record, its headers, and the query of its next page.

    `credential` is the key or token that asked, empty without one. `draw` is what a request to a surface has drawn.
    """

    key: CacheKey
    placement: Placement
    parameters: bytes
    headers: bytes
    query: str
    credential: str = field(default="", repr=False)
    draw: Draw | None = None


class FastLane:
    """One per application. `remember` runs in threads, `respond` in the event loop."""

    def __init__(self, app: Flask) -> None:
        self._service, self._metrics = app.extensions["service"], app.extensions["metrics"]
        self._gate = app.extensions["gate"]
        self._names = allowed_hosts(self._service.settings)
        self._urls: OrderedDict[Key, KnownUrl] = OrderedDict()

    def remember(
        self,
        key: CacheKey,
        placement: Placement,
        parameters: bytes,
        query: str,
        draw: Draw | None,
        response: Response,
    ) -> None:
        """Keep the URL and the headers of the response to the current request."""
        target = request.environ.get("RAW_URI", "")
        values = (target, *(request.headers.get(name, "") for name in ("Host", "Accept", "Origin", "Authorization")))
        if sum(map(len, values)) > MAX_KEY:
            return
        try:
            url = cast(Key, tuple(value.encode("latin1") for value in values))
            headers = "".join(
                f"{name}: {value}\r\n" for name, value in response.headers if name.lower() not in OWN_HEADERS
            ).encode("latin1")
        except UnicodeEncodeError:
            return
        self._urls[url] = KnownUrl(key, placement, parameters, headers, query, g.get("credential", ""), draw)
        while len(self._urls) > MAX_URLS:
            self._urls.popitem(last=False)

    def respond(self, head: bytes, peer: str = "") -> bytes | None:
        """The complete response to a request of these bytes from this address, or None if Flask has to give it."""
        started = time.perf_counter()
        key = request_key(head)
        if key and key[0] == HEALTH:
            return self._healthy(key[1].decode("latin1"))
        known = self._urls.get(key) if key else None
        if known is None or (asking := self._principal(known.credential)) is None:
            return None
        now = self._service.clock()
        if known.draw and not self._is_drawn_again(known.draw, now):
            return None
        answer = self._cached(known)
        if answer is None or len(answer.json) > MAX_RESPONSE:
            return None
        verdict = self._admitted(asking, peer, head)
        if verdict and not verdict.allowed:
            return None
        identity = os.urandom(8).hex()
        recommendation_id = self._service.recommendations.mint(known.placement, now)
        body = to_json(answer, identity, recommendation_id, known.placement)
        response = self._head(known, answer, identity, recommendation_id, len(body), verdict) + body
        self._record(known, answer, identity, recommendation_id, now, time.perf_counter() - started)
        pipe, surface = known.placement.pipe, known.placement.surface
        log_access("GET", f"/recommend/{surface}" if surface else f"/pipes/{pipe}", 200, started)
        if tracing.enabled():
            header = TRACEPARENT.search(head)
            tracing.record_cached(pipe, header[1].decode("latin1") if header else "", started, len(answer.data))
        return response

    def _is_drawn_again(self, draw: Draw, now: datetime) -> bool:
        """True if the surface gives this caller the same still: not after a change of its files, or of a running experiment."""
        layout: Layout | None = self._service.surfaces.unchanged()
        return layout is not None and layout.draw(draw.surface.name, draw.units, now) == draw

    def _cached(self, known: KnownUrl) -> Answer | None:
        """The cached answer, unless a pipe of it has changed."""
        library = self._service.library
        if not all(library.is_current(name, version) for name, version in known.key.versions):
            return None
        answer: Answer | None = self._service.cache.get(known.key)
        return answer

    def _healthy(self, host: str) -> bytes | None:
        """That the event loop runs: no thread has to be free for it."""
        if not is_allowed(host_name(host), self._names):
            return None
        return HEALTHY % (uuid.uuid4().hex[:16].encode(), len(HEALTH_BODY), HEALTH_BODY)

    def _principal(self, credential: str) -> Principal | None:
        """Who asked then, if that one may still ask."""
        if credential:
            asking: Principal | None = self._gate.verified(credential)
            return asking
        return None if self._gate.needed else OPEN

    def _admitted(self, asking: Principal, peer: str, head: bytes) -> Verdict | None:
        if asking.rate is None:
            return None
        address = partial(_address, self._gate, peer, head)
        verdict: Verdict | None = self._gate.admit(asking, address)
        return verdict

    def _head(
        self,
        known: KnownUrl,
        answer: Answer,
        identity: str,
        recommendation_id: str,
        length: int,
        verdict: Verdict | None = None,
    ) -> bytes:
        own_headers = caching_headers(answer, "json", known.placement) | link_header(answer, known.query)
        if verdict:
            own_headers |= rate_headers(verdict)
        own = "".join(f"{name}: {value}\r\n" for name, value in own_headers.items())
        if recommendation_id:
            own += f"Recommendation-Id: {recommendation_id}\r\n"
        own += f"Cache-Status: alsobought; hit\r\nX-Request-Id: {identity}\r\nContent-Length: {length}\r\n\r\n"
        start = f"HTTP/1.1 200 OK\r\nServer: {SERVER}\r\nConnection: keep-alive\r\nDate: {http_date()}\r\n".encode()
        return start + known.headers + own.encode("latin1")

    def _record(
        self, known: KnownUrl, answer: Answer, identity: str, recommendation_id: str, now: datetime, seconds: float
    ) -> None:
        placement, asked = known.placement, known.parameters
        self._metrics.answered(placement.pipe, 200, seconds)
        if log := self._service.request_log:
            unit = known.draw.unit if known.draw else ""
            log.add(RequestRecord(now, identity, placement, asked, 200, "", seconds, answer, recommendation_id, unit))


def _address(gate: Gate, peer: str, head: bytes) -> str:
    return gate.address(peer, [line.decode("latin1") for line in FORWARDED.findall(head)])


def request_key(head: bytes) -> Key | None:
    """What identifies the response to a request, or None if there is anything unusual about it.

    >>> request_key(b"GET /pipes/popular HTTP/1.1\\r\\nHost: shop\\r\\nAccept: */*\\r\\n\\r\\n")
    (b'/pipes/popular', b'shop', b'*/*', b'', b'')
    >>> request_key(b"GET /pipes/popular HTTP/1.1\\r\\nHost: shop\\r\\nCache-Control: no-cache\\r\\n\\r\\n")
    """
    start = REQUEST.fullmatch(head)
    if not start or DECISIVE_HEADER.search(head):
        return None
    headers = VALUE_HEADERS.findall(head)
    values = {name.lower(): value.rstrip() for name, value in headers}
    if len(values) < len(headers) or b"host" not in values:
        return None
    if values.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    accept, origin, authorization = (values.get(name, b"") for name in (b"accept", b"origin", b"authorization"))
    return start[1], values[b"host"], accept, origin, authorization


def offer(answer: Answer, parameters: bytes, query: str, placement: Placement, draw: Draw | None = None) -> None:
    """Let the fast lane give the next answers to the current request, while the cache has them.

    Where the caller's origin is that of a Referer, which is no part of what the fast lane compares, it stays out.
    """
    if "credential" not in g and g.principal.kind != "open":
        return  # a login, whose cookie is no part of it either
    origins = g.principal.origins
    if origins and ANY_ORIGIN not in origins and "Origin" not in request.headers:
        return
    g.fast_lane_offer = (answer.key, placement, parameters, query, draw)


def remember_response(response: Response) -> Response:
    """The last of the functions after a request, when the response has all its headers."""
    if "fast_lane_offer" in g and response.status_code == 200:
        current_app.extensions["fast_lane"].remember(*g.fast_lane_offer, response)
    return response
