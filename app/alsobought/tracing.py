"""Spans of OpenTelemetry: of requests, queries, stored batches and polls of Kafka.

They exist where the extra `otel` is installed and a variable OTEL_… names a collector. Elsewhere `span` costs a comparison. No
span has a parameter's value: those may be personal.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from alsobought.logs import NO_TRACE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
OUR_PROTOCOL = "http/protobuf"
PREFIX = "alsobought."
Value = str | int | float | bool


class _Current:
    tracer: Tracer | None = None


_nothing: AbstractContextManager[None] = nullcontext()


def enabled() -> bool:
    return _Current.tracer is not None


def start(environ: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Begin to export spans if these variables ask for it. Returns what sends the last ones and ends it. Call it after the fork."""
    if not is_configured(environ):
        return lambda: None
    protocol = next((value for name in PROTOCOLS if (value := environ.get(name))), OUR_PROTOCOL)
    if protocol != OUR_PROTOCOL:
        log.warning(
            "spans are sent as %s, not as %s: name a port of the collector that takes it", OUR_PROTOCOL, protocol
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no spans are sent: OpenTelemetry is not installed: install Alsobought with its extra `otel`")
        return lambda: None
    provider = TracerProvider(resource=Resource.create(_resource(environ)), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)

    def stop() -> None:
        use(None)
        provider.shutdown()

    return stop


def is_configured(environ: Mapping[str, str]) -> bool:
    """
    >>> is_configured({}), is_configured({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    (False, True)
    >>> is_configured({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"})
    False
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    wanted = exporter == "otlp" or (not exporter and any(environ.get(name) for name in ENDPOINTS))
    return wanted and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def _resource(environ: Mapping[str, str]) -> dict[str, str]:
    named = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return {"service.version": version("alsobought")} | ({} if named else {"service.name": "alsobought"})


def use(provider: TracerProvider | None) -> None:
    """Make spans of this provider from now on; none with None."""
    _Current.tracer = provider.get_tracer("alsobought", version("alsobought")) if provider else None


def span(
    name: str, *, client: bool = False, links: Iterable[Any] = (), **attributes: Value
) -> AbstractContextManager[Span | None]:
    """A part of what is done now. `client`: it is a call of the database. `links` are what `current` gave elsewhere."""
    if _Current.tracer is None:
        return _nothing
    from opentelemetry.trace import Link, SpanKind

    return _Current.tracer.start_as_current_span(
        name,
        kind=SpanKind.CLIENT if client else SpanKind.INTERNAL,
        attributes=_prefixed(attributes),
        links=[Link(link) for link in links if link],
    )


def note(current: Span | None, **attributes: Value) -> None:
    """Attributes that are known at the end of a span, which is None without tracing."""
    if current is not None:
        current.set_attributes(_prefixed(attributes))


def _prefixed(attributes: Mapping[str, Value]) -> dict[str, Value]:
    """Names with two underscores are those of the conventions: `db__system__name` is db.system.name."""
    return {name.replace("__", ".") if "__" in name else PREFIX + name: value for name, value in attributes.items()}


def current() -> Any:
    """What links another span to the one of now; None without tracing."""
    if _Current.tracer is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span().get_span_context()
    return context if context.is_valid else None


@dataclass(frozen=True)
class RequestSpan:
    """The span of a request, until `end`."""

    span: Span
    token: Any

    @property
    def ids(self) -> tuple[str, str]:
        """Those of the trace and the span, for the log."""
        context = self.span.get_span_context()
        return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else NO_TRACE

    def answered(self, route: str, status: int, **attributes: Value) -> None:
        from opentelemetry.trace import StatusCode

        method = self.span.attributes["http.request.method"] if getattr(self.span, "attributes", None) else ""  # type: ignore[attr-defined]
        self.span.update_name(f"{method} {route}".strip())
        self.span.set_attributes(_prefixed({"http__route": route, "http__response__status_code": status, **attributes}))
        if status >= 500:
            self.span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        from opentelemetry.context import detach

        detach(self.token)
        self.span.end()


def begin_request(method: str, traceparent: str, tracestate: str, lane: str, waited: float) -> RequestSpan | None:
    """The span of a request that was `waited` seconds in the queue of its lane, as a part of the caller's trace."""
    if _Current.tracer is None:
        return None
    from opentelemetry import context, trace

    now = time.time_ns()
    arrived = now - int(waited * 1e9)
    made = _Current.tracer.start_span(
        method,
        context=_context_of(traceparent, tracestate),
        kind=trace.SpanKind.SERVER,
        attributes={"http.request.method": method, f"{PREFIX}lane": lane},
        start_time=arrived,
    )
    inside = trace.set_span_in_context(made)
    if waited:
        _Current.tracer.start_span("wait for a thread", context=inside, start_time=arrived).end(now)
    return RequestSpan(made, context.attach(inside))


def record_cached(pipe: str, traceparent: str, started: float, rows: int) -> None:
    """A request that the event loop has answered from the cache; `started` is its `time.perf_counter()`."""
    if _Current.tracer is None:
        return
    from opentelemetry import trace

    now = time.time_ns()
    _Current.tracer.start_span(
        "GET /pipes/<path:name>",
        context=_context_of(traceparent, ""),
        kind=trace.SpanKind.SERVER,
        attributes={
            "http.request.method": "GET",
            "http.route": "/pipes/<path:name>",
            "http.response.status_code": 200,
            f"{PREFIX}lane": "fast",
            f"{PREFIX}pipe": pipe,
            f"{PREFIX}cached": True,
            f"{PREFIX}rows": rows,
        },
        start_time=now - int((time.perf_counter() - started) * 1e9),
    ).end(now)


def _context_of(traceparent: str, tracestate: str) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent, "tracestate": tracestate}
    return TraceContextTextMapPropagator().extract(carrier, Context()) if traceparent else Context()
