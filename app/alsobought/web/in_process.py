"""Ask the application without a socket: the same routes, JSON and errors as over HTTP, in the process that has the service."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import msgspec
from flask import Flask
from werkzeug.test import TestResponse

from alsobought.errors import Unusable

BAD, BUSY = 400, 503  # statuses
MAX_ATTEMPTS = 10  # each may take half a minute
AT_ONCE = 64  # requests: as many as one query answers (`serving.coalescing`)


class InProcessDoor:
    """A shop for programs that bring their own clock. `seconds`: the CPU time of the process while it was asked."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._client = app.test_client()
        self._threads = ThreadPoolExecutor(AT_ONCE, "in-process-door")
        self.seconds = 0.0

    def get(self, path: str) -> Any:
        """The JSON of an answer. Raises Unusable for a status of 400 or more."""
        with self._timed():
            return _decoded(path, self._client.get(path))

    def get_all(self, paths: Sequence[str]) -> list[Any]:
        """The answers to requests that are made at the same time, in the order of the paths."""
        with self._timed():
            return list(self._threads.map(self._get, paths))

    def post(self, path: str, body: Any) -> Any:
        """As `get`; the body is sent as JSON, and sent again where the service is too busy: its events have ids."""
        content = msgspec.json.encode(body)
        with self._timed():
            for _ in range(MAX_ATTEMPTS):
                response = self._client.post(path, data=content, content_type="application/json")
                if response.status_code != BUSY:
                    break
        return _decoded(path, response)

    def close(self) -> None:
        self._threads.shutdown()

    def _get(self, path: str) -> Any:
        return _decoded(path, self._app.test_client().get(path))

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.process_time()
        try:
            yield
        finally:
            self.seconds += time.process_time() - began


def _decoded(path: str, response: TestResponse) -> Any:
    content = msgspec.json.decode(response.data)
    if response.status_code >= BAD:
        error = content.get("error", {})
        raise Unusable(f"{path.partition('?')[0]}: {error.get('message')}", error.get("hint", ""))
    return content
