"""The metrics of several processes as one page; here copies, which share the memory as forks do."""

from __future__ import annotations

import copy
import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from alsobought.web import shared_metrics
from alsobought.web.shared_metrics import SharedMetrics


class Process:
    """Some metrics of one process."""

    def __init__(self, parent: SharedMetrics, slot: int) -> None:
        registry = CollectorRegistry()
        self.requests = Counter("alsobought_pipe_requests", "Requests.", ["pipe"], registry=registry)
        self.seconds = Histogram("alsobought_pipe_seconds", "Time.", ["pipe"], buckets=(1.0,), registry=registry)
        self.consumed = Counter("alsobought_kafka_messages_consumed", "The same in all.", registry=registry)
        self.waiting = Gauge("alsobought_waiting_rows", "Rows.", registry=registry)
        self.alarms = Gauge("alsobought_alarms", "Alarms.", registry=registry)
        self.as_of = Gauge("alsobought_as_of_seconds", "Newest.", registry=registry)
        self.ready = Gauge("alsobought_ready", "Ready.", registry=registry)
        self.memory = Gauge("alsobought_memory_bytes", "Memory.", registry=registry)
        self.shared = copy.copy(parent)
        self.shared.join(slot, lambda: generate_latest(registry))

    def request(self, times: int) -> None:
        self.requests.labels("popular").inc(times)
        self.seconds.labels("popular").observe(0.5)

    def value(self, name: str) -> float:
        page = self.shared.page().decode()
        (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", page, re.M)
        return float(value)


@pytest.fixture(autouse=True)
def _no_writes_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_metrics, "WRITE_SECONDS", 3600)


REQUESTS = 'alsobought_pipe_requests_total{pipe="popular"}'


def test_any_process_answers_for_all() -> None:
    parent = SharedMetrics()
    first, second = Process(parent, 0), Process(parent, 1)
    first.request(3)
    second.request(4)
    first.ready.set(1)
    for process, value in ((first, 7.0), (second, 9.0)):
        process.memory.set(value)
        process.consumed.inc(value)
        process.waiting.set(value)
        process.alarms.set(value)
        process.as_of.set(value)
        process.shared.page()  # as every second
    assert [process.value(REQUESTS) for process in (first, second)] == [7, 7]
    assert first.value('alsobought_pipe_seconds_bucket{le="1.0",pipe="popular"}') == 2
    assert first.value('alsobought_pipe_seconds_count{pipe="popular"}') == 2
    assert first.value("alsobought_waiting_rows") == 16
    assert first.value("alsobought_kafka_messages_consumed_total") == 9
    assert first.value("alsobought_alarms") == 9
    assert first.value("alsobought_memory_bytes") == 16
    assert first.value("alsobought_ready") == 0, "one of them is not"
    assert first.value("alsobought_as_of_seconds") == 7
    Process(parent, 2)  # which has seen no event yet
    assert first.value("alsobought_as_of_seconds") == 7


def test_counters_go_on_when_a_process_ends_and_gauges_do_not() -> None:
    parent = SharedMetrics()
    first, ends = Process(parent, 0), Process(parent, 1)
    ends.request(4)
    ends.waiting.set(5)
    assert ends.value(REQUESTS) == 4
    ends.shared._own = lambda: b""
    parent.end(1)
    assert (first.value(REQUESTS), first.value("alsobought_waiting_rows")) == (4, 0)
    replaces = Process(parent, 1)
    replaces.request(2)
    assert (replaces.value(REQUESTS), first.value(REQUESTS)) == (6, 6)
    assert first.value("alsobought_waiting_rows") == 0
