"""The log of a service: one JSON object per line for machines, a readable line on a terminal.

Every record that is logged while a request is served carries its request_id, from whichever module: the id is a context
variable, so that modules far from HTTP need not pass it on.

Requests are logged at the level debug only, slow ones always (`web.slow_requests`). A line costs 15 µs, 1.5 % of a core at 1,000
requests a second; a slow reader of the log would block all requests; and the row of each request in the table `requests` has more
details.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from alsobought.redaction import redacted

request_id: ContextVar[str] = ContextVar("request_id", default="")
NO_TRACE = ("", "")
trace: ContextVar[tuple[str, str]] = ContextVar("trace", default=NO_TRACE)
"""The ids of the caller's trace and span (W3C Trace Context)."""
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
access_log = logging.getLogger("alsobought.access")


class LogLine(msgspec.Struct, omit_defaults=True):
    """A record as JSON; empty fields are omitted."""

    time: datetime
    level: str
    logger: str
    message: str
    request_id: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    ms: float = 0.0
    exception: str = ""
    trace_id: str = ""
    span_id: str = ""
    details: dict[str, Any] = {}


class CarryRequestId(logging.Filter):
    """Adds the ids of the current request, and of the trace it belongs to, to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        record.trace = trace.get()
        return True


class RedactedTracebacks(logging.Formatter):
    """Tracebacks without passwords, which the exceptions of drivers may carry."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is Python's
        return redacted(super().formatException(ei))


class JsonLines(RedactedTracebacks):
    def format(self, record: logging.LogRecord) -> str:
        trace_id, span_id = getattr(record, "trace", NO_TRACE)
        line = LogLine(
            time=datetime.fromtimestamp(record.created, UTC),
            level=record.levelname.lower(),
            logger=record.name,
            message=_encodable(redacted(record.getMessage())),
            request_id=getattr(record, "request_id", ""),
            exception=_encodable(self.formatException(record.exc_info)) if record.exc_info else "",
            trace_id=trace_id,
            span_id=span_id,
            details=getattr(record, "details", {}),
            **getattr(record, "request", {}),
        )
        return msgspec.json.encode(line).decode()


class TextLines(RedactedTracebacks):
    """One line per record: control characters are escaped, so no message can look like two."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is Python's
        record.message = CONTROL.sub(lambda control: repr(control[0])[1:-1], _encodable(redacted(record.message)))
        current = getattr(record, "request_id", "")
        return super().formatMessage(record) + (f" [{current}]" if current else "")


def open_log(form: str, level: str, stream: TextIO | None = None) -> logging.Handler:
    """Logs to standard error: our own records from this level on, those of libraries from warning on.

    `form` is json, text, or auto: text where the stream is a terminal.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler.setFormatter(TextLines() if as_text else JsonLines())
    handler.addFilter(CarryRequestId())
    handler.setLevel(level.upper())
    logging.getLogger().addHandler(handler)
    logging.getLogger("alsobought").setLevel(level.upper())
    logging.captureWarnings(True)
    return handler


def trace_context(traceparent: str) -> tuple[str, str]:
    """The ids of trace and span in a header `traceparent`, empty if it is not valid.

    >>> trace_context("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    ('4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7')
    >>> trace_context("00-00000000000000000000000000000000-00f067aa0ba902b7-01")
    ('', '')
    """
    header = TRACEPARENT.fullmatch(traceparent.strip())
    if not header or (header[4] and header[1] == "00"):  # later versions may have more
        return NO_TRACE
    return header[2], header[3]


def log_access(method: str, path: str, status: int, started: float) -> None:
    """Logs one request that started at this `time.perf_counter()`. The path excludes the query: its values may be personal."""
    if access_log.isEnabledFor(logging.DEBUG):
        ms = round(1000 * (time.perf_counter() - started), 2)
        request: dict[str, Any] = {"method": method, "path": _encodable(path), "status": status, "ms": ms}
        access_log.debug("%s %s: %d in %.2f ms", method, path, status, ms, extra={"request": request})


def _encodable(text: str) -> str:
    """Text that can be encoded: half a surrogate pair becomes a question mark."""
    return text.encode(errors="replace").decode()
