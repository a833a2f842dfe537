"""ClickHouse's HTTP interface over chDB, as far as an unmodified client needs it: `python -m tests.support.clickhouse_http PORT`.

A test harness, not a server: it shows that none of our code relies on sharing a process with the engine. Every request opens
its own connection to a warehouse in memory; settings are in the URL, and parameters are escaped as the client sends them.
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
# URL parameters that are not settings of the engine.
TRANSPORT_PARAMETERS = {
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
UNKNOWN_CODE = 1002
MAX_FIELD = 131_072  # `http_max_field_value_size`
STATUS = {60: 404, 81: 404, 62: 400, 47: 400, 457: 400, 159: 408}


@Request.application
def application(request: Request) -> Response:
    if request.path == "/ping":
        return Response("Ok.\n")
    if encoding := request.headers.get("Content-Encoding"):
        return Response(f"Code: 48. DB::Exception: {encoding} is not supported", 501)
    arguments = {**request.args.to_dict(), **request.form.to_dict()}
    arguments |= {name: file.read().decode() for name, file in request.files.items()}
    body = b"" if request.form or request.files else request.get_data()
    if too_long := [name for name, value in arguments.items() if len(value) > MAX_FIELD]:
        return _error(f"Code: 1000. Poco::Exception: HTML Form Exception: Field value too long: {too_long}")
    sql = "\n".join(part for part in (arguments.get("query", ""), body.decode()) if part)
    try:
        return _execute(sql, arguments)
    except Exception as error:
        return _error(str(error))


def _execute(sql: str, arguments: dict[str, str]) -> Response:
    fmt = "TabSeparated"
    if not re.match(r"\s*insert\b", sql, re.IGNORECASE) and (clause := FORMAT.search(sql)):
        fmt, sql = clause[1], sql[: clause.start()]
    parameters = {name.removeprefix("param_"): value for name, value in arguments.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in arguments.items()
        if name not in TRANSPORT_PARAMETERS and not name.startswith("param_")
    }
    connection = connect(":memory:")
    try:
        if database := arguments.get("database"):
            connection.query(f"use {database}", "Null")
        for name in sorted(settings, key="readonly".__eq__):  # nothing can be set after readonly
            connection.query(f"set {name} = {_literal(settings[name])}", "Null")
        result: Any = connection.query(sql, fmt, params=parameters)
        headers = {
            "X-ClickHouse-Format": fmt,
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Query-Id": arguments.get("query_id", uuid.uuid4().hex),
            "X-ClickHouse-Summary": json.dumps({"read_rows": str(result.rows_read()), "elapsed_ns": "0"}),
        }
        return Response(result.bytes(), headers=headers, mimetype="application/octet-stream")
    finally:
        connection.close()


def _literal(value: str) -> str:
    return value if re.fullmatch(r"-?[\d.]+", value) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _error(message: str) -> Response:
    number = re.search(r"Code: (\d+)", message)
    code = int(number[1]) if number else UNKNOWN_CODE
    return Response(message, STATUS.get(code, 500), headers={"X-ClickHouse-Exception-Code": str(code)})


class _SilentHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        pass


def main() -> None:
    keeper = connect(":memory:")  # the data lives as long as any connection
    server = make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=_SilentHandler)
    print("ready", flush=True)  # noqa: T201
    try:
        server.serve_forever()
    finally:
        keeper.close()


if __name__ == "__main__":
    main()
