"""A schema registry for tests: the part of its HTTP interface that is used here."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import fastavro

EVENT_SCHEMA = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "event_type", "type": "string"},
        {"name": "user_id", "type": "string"},
        {"name": "item_id", "type": "string"},
        {"name": "event_id", "type": ["null", "string"], "default": None},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]},
        {"name": "timestamp", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "recommendation_id", "type": ["null", "string"], "default": None},
        {"name": "position", "type": ["null", "int"], "default": None},
    ],
}


@dataclass
class Registry:
    """Schemas by number, as it answers with them; `status` is what it answers with instead."""

    address: str = ""
    schemas: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    status: int = 0
    credentials: str = ""

    def add_avro(self, number: int, schema: object, *references: str) -> None:
        named = [{"name": name, "subject": name, "version": 1} for name in references]
        self.schemas[number] = {"schema": json.dumps(schema), "references": named}

    def answer(self, path: str) -> tuple[int, object]:
        if self.status:
            return self.status, {"error_code": self.status, "message": "as the test wants"}
        parts = path.strip("/").split("/")
        if parts == ["subjects"]:
            return 200, list(self.versions)
        found = self.schemas.get(int(parts[2])) if parts[0] == "schemas" else self.versions.get(parts[1])
        return (200, found) if found else (404, {"error_code": 40403, "message": "Schema not found"})


@contextmanager
def schema_registry() -> Iterator[Registry]:
    registry = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.requests.append(self.path)
            allowed = f"Basic {base64.b64encode(registry.credentials.encode()).decode()}"
            if registry.credentials and self.headers["Authorization"] != allowed:
                status, answer = 401, object()
            else:
                status, answer = registry.answer(urlsplit(self.path).path)
            body = json.dumps(answer, default=str).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    registry.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()


def framed(number: int, body: bytes) -> bytes:
    return b"\0" + number.to_bytes(4) + body


def avro(number: int, record: object, schema: Any = None) -> bytes:
    """A message as a producer of the registry's makes it."""
    file = BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(schema or EVENT_SCHEMA), record)
    return framed(number, file.getvalue())
