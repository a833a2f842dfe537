"""Spans of requests, queries and batches, in the trace of the caller; and none at all unless a variable asks for them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from alsobought import tracing
from alsobought.service.service import Service
from alsobought.serving.query_slots import QuerySlots
from alsobought.web.factory import create_app
from alsobought.web.lanes import LANE, WAITED
from tests.support.web import VIEW

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
Spans = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The spans so far, by name; the last of each."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    tracing.use(None)
    provider.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_request_continues_the_trace_of_its_caller_and_has_its_query_inside(
    client: FlaskClient, spans: Spans
) -> None:
    environ = {LANE: "light", WAITED: 0.25}
    headers = {"traceparent": TRACEPARENT}
    assert client.get("/pipes/popular?limit=3", headers=headers, environ_overrides=environ).status_code == 200
    made = spans()
    request, query, wait = made["GET /pipes/<path:name>"], made["query"], made["wait for a thread"]
    assert request.context
    assert request.parent
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert {one.parent and one.parent.span_id for one in (query, wait)} == {request.context.span_id}
    assert ((wait.end_time or 0) - (wait.start_time or 0)) / 1e9 == pytest.approx(0.25, abs=0.01)
    assert attributes(request) == {
        "http.request.method": "GET",
        "http.route": "/pipes/<path:name>",
        "http.response.status_code": 200,
        "alsobought.lane": "light",
        "alsobought.pipe": "popular",
        "alsobought.cached": False,
        "alsobought.rows": 0,
    }
    assert attributes(query)["db.system.name"] == "clickhouse"
    assert attributes(query)["alsobought.pipe"] == "all_items", "the last query is that of the fallback"
    client.get("/pipes/popular?limit=3")
    again = spans()["GET /pipes/<path:name>"]
    assert attributes(again)["alsobought.cached"] is True
    assert again.parent is None, "the next request of the thread is not a part of that trace"


def test_a_cached_answer_of_the_event_loop_is_a_span_too(shop: Service, spans: Spans) -> None:
    app = create_app(shop)
    head = "GET /pipes/popular?limit=4 HTTP/1.1\r\nHost: localhost\r\n"
    app.test_client().get("/pipes/popular?limit=4", environ_overrides={"RAW_URI": "/pipes/popular?limit=4"})
    assert app.extensions["fast_lane"].respond(f"{head}Traceparent: {TRACEPARENT}\r\n\r\n".encode())
    span = spans()["GET /pipes/<path:name>"]
    assert span.context
    assert f"{span.context.trace_id:032x}" == TRACE_ID
    assert (attributes(span)["alsobought.lane"], attributes(span)["alsobought.cached"]) == ("fast", True)


def test_a_batch_is_linked_to_the_requests_that_sent_its_rows(client: FlaskClient, spans: Spans) -> None:
    assert client.post("/events?wait=true", json=[VIEW, VIEW], headers={"traceparent": TRACEPARENT}).status_code == 200
    until = time.monotonic() + 10
    while "store" not in spans() and time.monotonic() < until:
        time.sleep(0.01)
    made = spans()
    store, insert, request = made["store"], made["insert"], made["POST /events"]
    assert request.context
    assert [link.context.span_id for link in store.links] == [request.context.span_id]
    assert insert.parent
    assert store.context
    assert insert.parent.span_id == store.context.span_id
    assert attributes(store)["alsobought.rows"] == 2
    assert attributes(insert)["db.system.name"] == "clickhouse"


def test_a_failed_request_is_an_error_and_no_span_has_a_value_of_a_parameter(
    client: FlaskClient, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/pipes/for_you?user_id=secret-ada")
    assert "secret" not in " ".join(span.to_json() for span in spans().values())
    client.get("/readyz")
    assert "GET /readyz" not in spans()
    client.get("/pipes/no_such_pipe")
    assert attributes(spans()["GET /pipes/<path:name>"])["http.response.status_code"] == 404


def test_a_wait_for_a_slot_is_a_span(spans: Spans) -> None:
    slots = QuerySlots(1)

    def query() -> None:
        with slots.taken("popular"):
            pass

    with slots.taken("popular"):
        assert not spans()
        thread = threading.Thread(target=query)
        thread.start()
        while slots.load != (1, 1):
            time.sleep(0.001)
    thread.join(10)
    assert list(spans()) == ["wait for a slot"]


class Collector(BaseHTTPRequestHandler):
    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_the_standard_variables_send_spans_to_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    Collector.received = []
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        stop = tracing.start()
        with tracing.span("query", pipe="popular"):
            pass
        stop()
        server.shutdown()
    ((path, body),) = Collector.received
    assert path == "/v1/traces"
    assert b"popular" in body
    assert b"alsobought" in body
    assert not tracing.enabled()


def test_without_a_variable_or_the_package_there_are_no_spans(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tracing.start({})()
    assert not tracing.enabled()
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.sdk.resources", None)
    with caplog.at_level(logging.WARNING):
        tracing.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})()
    assert not tracing.enabled()
    assert "with its extra `otel`" in caplog.text
    with tracing.span("query", pipe="popular") as span:
        assert span is None
    assert (tracing.begin_request("GET", TRACEPARENT, "", "light", 0.0), tracing.current()) == (None, None)
