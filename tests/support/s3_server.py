"""A server that speaks the protocol of S3, in a thread of the tests, with faults on demand. Its objects are in memory."""

from __future__ import annotations

import logging
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "backups"
Fault = Literal["refuse", "cut", "half"]
Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclass
class S3Server:
    """`requests` are lines such as `PUT /backups/shop/files/3f/3fa9…`."""

    url: str
    requests: list[str] = field(default_factory=list)
    _faults: list[tuple[re.Pattern[str], Fault]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a client reaches it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDTESTS",
            "AWS_SECRET_ACCESS_KEY": "sEcret-of-the-tests",
        }

    def fail(self, requests: str, fault: Fault, times: int = 1) -> None:
        """The next requests that match are answered with 500, cut off within the request, or within the answer."""
        self._faults += [(re.compile(requests), fault)] * times

    def take_fault(self, request: str) -> Fault | None:
        for number, (pattern, fault) in enumerate(self._faults):
            if pattern.search(request):
                del self._faults[number]
                return fault
        return None


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """With the empty bucket BUCKET."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    backend = DomainDispatcherApplication(create_backend_app)
    started = S3Server("")
    application = _with_faults(backend, started)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Quiet)
    started.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        urllib.request.urlopen(urllib.request.Request(f"{started.url}/{BUCKET}", method="PUT"), timeout=10).close()
        yield started
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Connections that are cut are what the tests are about."""


def _with_faults(backend: Application, server: S3Server) -> Application:
    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        query = environ.get("QUERY_STRING", "")
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' if query else ''}{query}"
        server.requests.append(request)
        fault = server.take_fault(request)
        if fault == "refuse":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]
        if fault == "cut":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            environ["werkzeug.socket"].shutdown(2)
            return []
        body = backend(environ, start)
        return _half(environ, b"".join(body)) if fault == "half" else body

    return answer


def _half(environ: dict[str, Any], body: bytes) -> Iterator[bytes]:
    """The first half of an answer. Of an empty one there is nothing, not even its status."""
    if body:
        yield body[: len(body) // 2]
    environ["werkzeug.socket"].shutdown(2)
