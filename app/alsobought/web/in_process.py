"""Ask the application without a socket: the same routes, JSON and errors as over HTTP, in the process that has the service."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Flask
from werkzeug.test import TestResponse

from alsobought.errors import Unusable

BAD, BUSY = 400, 503  # statuses
MAX_ATTEMPTS = 10  # each may take half a minute


class InProcessDoor:
    """A shop for programs that bring their own clock."""

    def __init__(self, app: Flask) -> None:
        self._client = app.test_client()

    def get(self, path: str) -> Any:
        """The JSON of an answer. Raises Unusable for a status of 400 or more."""
        return _decoded(path, self._client.get(path))

    def post(self, path: str, body: Any) -> Any:
        """As `get`; the body is sent as JSON, and sent again where the service is too busy: its events have ids."""
        content = msgspec.json.encode(body)
        for _ in range(MAX_ATTEMPTS):
            response = self._client.post(path, data=content, content_type="application/json")
            if response.status_code != BUSY:
                break
        return _decoded(path, response)


def _decoded(path: str, response: TestResponse) -> Any:
    content = msgspec.json.decode(response.data)
    if response.status_code >= BAD:
        error = content.get("error", {})
        raise Unusable(f"{path.partition('?')[0]}: {error.get('message')}", error.get("hint", ""))
    return content
