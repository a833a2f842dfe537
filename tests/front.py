"""HTTP in front of chDB in memory, as much of a ClickHouse server as `migrate` needs: `python -m tests.front PORT`.

It takes one statement at a time, applies no settings and knows no compression: give its address with `?compress=false`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb

connect: Callable[[str], Any] = chdb.connect


class Front(BaseHTTPRequestHandler):
    engine = connect(":memory:")
    lock = Lock()

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        sql = "\n".join(filter(None, (given.get("query"), body)))
        parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
        found = re.search(r"\bFORMAT\s+(\w+)\s*$", sql) if not sql.lower().startswith("insert") else None
        fmt = found[1] if found else self.headers.get("X-ClickHouse-Format", "TabSeparated")
        try:
            with self.lock:
                rows = self.engine.query(sql[: found.start()] if found else sql, fmt, params=parameters)
            self._answer(200, bytes(rows.bytes()) if rows else b"", fmt)
        except Exception as error:
            self._answer(500, str(error).encode(), fmt)

    def _body(self) -> str:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size + 2)[:-2])
        self.rfile.readline()
        return b"".join(chunks).decode()

    def _answer(self, status: int, text: bytes, fmt: str) -> None:
        self.send_response(status)
        self.send_header("X-ClickHouse-Format", fmt)
        if code := re.match(rb"Code: (\d+)", text) if status == 500 else None:
            self.send_header("X-ClickHouse-Exception-Code", code[1].decode())
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Front).serve_forever()
