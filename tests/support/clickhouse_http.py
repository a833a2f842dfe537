"""ClickHouse's HTTP interface over chDB, as far as an unmodified client needs it: `python -m tests.support.clickhouse_http PORT`.

A harness, not a server: it shows that nothing of ours leans on being in one process with the engine. Every request has a
connection of its own, on a warehouse in memory; settings travel in the URL, parameters arrive escaped, as the client sends them.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Callable
from typing import Any

import chdb
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

FORMAT = re.compile(r"\s+format\s+(\w+)\s*;?\s*$", re.IGNORECASE)
# What is about the transport and no setting of the engine.
TRANSPORT = {
    "query",
    "database",
    "session_id",
    "query_id",
    "wait_end_of_query",
    "client_protocol_version",
    "send_progress_in_http_headers",
    "http_headers_progress_interval_ms",
    "enable_http_compression",
    "cancel_http_readonly_queries_on_client_close",
}
connect: Callable[[str], Any] = chdb.connect
STATUS = {60: 404, 81: 404, 62: 400, 47: 400, 457: 400, 159: 408}


@Request.application
def front(request: Request) -> Response:
    if request.path == "/ping":
        return Response("Ok.\n")
    if encoding := request.headers.get("Content-Encoding"):
        return Response(f"Code: 48. DB::Exception: no {encoding} here", 501)
    given = {**request.args.to_dict(), **request.form.to_dict()}
    given |= {name: file.read().decode() for name, file in request.files.items()}
    body = b"" if request.form or request.files else request.get_data()
    sql = "\n".join(part for part in (given.get("query", ""), body.decode()) if part)
    try:
        return _answer(sql, given)
    except Exception as error:
        return _refusal(str(error))


def _answer(sql: str, given: dict[str, str]) -> Response:
    fmt = "TabSeparated"
    if not re.match(r"\s*insert\b", sql, re.IGNORECASE) and (found := FORMAT.search(sql)):
        fmt, sql = found[1], sql[: found.start()]
    parameters = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
    settings = {name: value for name, value in given.items() if name not in TRANSPORT and not name.startswith("param_")}
    connection = connect(":memory:")
    try:
        if database := given.get("database"):
            connection.query(f"use {database}", "Null")
        for name in sorted(settings, key="readonly".__eq__):  # nothing can be set after readonly
            connection.query(f"set {name} = {_literal(settings[name])}", "Null")
        result: Any = connection.query(sql, fmt, params=parameters)
        headers = {
            "X-ClickHouse-Format": fmt,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Query-Id": given.get("query_id", uuid.uuid4().hex),
            "X-ClickHouse-Summary": json.dumps({"read_rows": str(result.rows_read()), "elapsed_ns": "0"}),
        }
        return Response(result.bytes(), headers=headers, mimetype="application/octet-stream")
    finally:
        connection.close()


def _literal(value: str) -> str:
    return value if re.fullmatch(r"-?[\d.]+", value) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _refusal(message: str) -> Response:
    found = re.search(r"Code: (\d+)", message)
    code = int(found[1]) if found else 1002
    return Response(message, STATUS.get(code, 500), headers={"X-ClickHouse-Exception-Code": str(code)})


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


def main() -> None:
    kept = connect(":memory:")  # the memory lives as long as one connection does
    server = make_server("127.0.0.1", int(sys.argv[1]), front, threaded=True, request_handler=_Quiet)
    print("ready", flush=True)  # noqa: T201
    try:
        server.serve_forever()
    finally:
        kept.close()


if __name__ == "__main__":
    main()
