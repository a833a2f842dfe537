"""Call a WSGI application with a request that has arrived completely."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

log = logging.getLogger(__name__)

Headers = list[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
PORT = "alsobought.port"  # of the socket: a trusted proxy may change SERVER_PORT
SEPARATE = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


@dataclass(frozen=True)
class Request:
    """A request with its complete body. `target` as it was sent; names of `headers` in lower case."""

    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    client: tuple[str, int]
    server: tuple[str, int]

    @property
    def path(self) -> bytes:
        """Decoded, without the query."""
        return unquote_to_bytes(_origin_form(self.target).partition(b"?")[0])


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Headers
    body: bytes


def call(app: Application, request: Request, more: Mapping[str, Any] = MappingProxyType({})) -> Answer | None:
    """The application's answer, complete; None if it failed, which is logged. `more` is what the environment has besides."""
    started: list[tuple[str, Headers]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: Headers, _exc_info: Any = None) -> Callable[[bytes], Any]:
        started[:] = [(status, headers)]
        return written.append

    try:
        parts = app({**environ(request), **more}, start_response)
        with closing(parts) if hasattr(parts, "close") else nullcontext():  # type: ignore[type-var]
            written.extend(parts)
        status, headers = started[0]
    except Exception:
        log.exception("%s %s failed", request.method, request.path.decode("latin1"))
        return None
    code, _, reason = status.partition(" ")
    return Answer(int(code), reason, headers, b"".join(written))


def environ(request: Request) -> dict[str, Any]:
    """The WSGI environment (PEP 3333).

    Header fields with an underscore are left out: `X_Forwarded_For` would be taken for `X-Forwarded-For`.
    """
    target = _origin_form(request.target)
    path, _, query = target.partition(b"?")
    made: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin1"),
        "QUERY_STRING": query.decode("latin1"),
        "RAW_URI": request.target.decode("latin1"),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": request.server[0],
        "SERVER_PORT": str(request.server[1]),
        PORT: request.server[1],
        "REMOTE_ADDR": request.client[0],
        "REMOTE_PORT": str(request.client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers:
        if b"_" in name or name == b"transfer-encoding":  # the body is complete
            continue
        key = SEPARATE.get(name) or "HTTP_" + name.decode("latin1").upper().replace("-", "_")
        text = value.decode("latin1")
        made[key] = f"{made[key]},{text}" if key in made else text
    made["CONTENT_LENGTH"] = str(len(request.body))
    return made


def _origin_form(target: bytes) -> bytes:
    """The path and query of a target, which proxies write as a whole URL.

    >>> _origin_form(b"http://shop/pipes/popular?limit=1")
    b'/pipes/popular?limit=1'
    """
    if target.startswith(b"/") or b"://" not in target:
        return target
    try:
        split = urlsplit(target)
    except ValueError:  # brackets without an IPv6 address: no path of ours
        return target
    return (split.path or b"/") + (b"?" + split.query if split.query else b"")
