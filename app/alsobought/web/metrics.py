"""What Prometheus reads at /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from alsobought.service.monitor import Monitor
    from alsobought.service.service import Service
    from alsobought.serving.request_log import RequestLog

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """One registry per application, so that tests can have many."""

    def __init__(self, shop: Service, monitor: Monitor | None = None) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "alsobought_pipe_requests", "Requests to pipes.", ["pipe", "status"], registry=registry
        )
        self._seconds = Histogram(
            "alsobought_pipe_seconds", "Time to answer.", ["pipe"], buckets=BUCKETS, registry=registry
        )
        self._taken = Counter(
            "alsobought_rows", "Events and items by what became of them.", ["kind", "outcome"], registry=registry
        )
        build = Info("alsobought_build", "The version that runs.", registry=registry)
        build.info({"version": version("alsobought")})
        waiting = Gauge("alsobought_waiting_rows", "Rows that wait for Kafka or for the writer.", registry=registry)
        waiting.set_function(lambda: shop.waiting)
        as_of = Gauge("alsobought_as_of_seconds", "Ingest time of the newest visible event.", registry=registry)
        as_of.set_function(lambda: shop.visibility.as_of.timestamp() if shop.visibility.as_of else 0)
        if shop.request_log:
            registry.register(_Dropped(shop.request_log))
        if monitor:
            registry.register(_Watched(monitor))

    def answered(self, pipe: str, status: int, seconds: float) -> None:
        """`pipe` is empty for a name that does not exist: callers must not make labels."""
        self._requests.labels(pipe, str(status)).inc()
        self._seconds.labels(pipe).observe(seconds)

    def accepted(self, kind: str, rows: int, repeats: int) -> None:
        self._taken.labels(kind, "stored").inc(rows)
        self._taken.labels(kind, "repeat").inc(repeats)

    def rejected(self, kind: str, rows: int) -> None:
        self._taken.labels(kind, "rejected").inc(rows)

    def refused(self, kind: str, rows: int) -> None:
        """They were good, and the writer or the log did not take them."""
        self._taken.labels(kind, "refused").inc(rows)

    def page(self) -> tuple[bytes, str]:
        return generate_latest(self._registry), CONTENT_TYPE_LATEST


class _Dropped(Collector):
    """A count that the request_log keeps itself."""

    def __init__(self, request_log: RequestLog) -> None:
        self._recorder = request_log

    def collect(self) -> Iterator[CounterMetricFamily]:
        sentence = "Requests that are missing in the table requests: no room, or not stored."
        yield CounterMetricFamily("alsobought_requests_dropped", sentence, value=self._recorder.dropped)


class _Watched(Collector):
    """What was seen last of Kafka, and what is wrong."""

    def __init__(self, monitor: Monitor) -> None:
        self._watch = monitor

    def collect(self) -> Iterator[Metric]:
        found = self._watch.status
        yield GaugeMetricFamily(
            "alsobought_alarms", "Counts that do not add up, offsets left out.", value=len(self._watch.alarms)
        )
        yield from self._checked()
        if found is None:
            return
        yield GaugeMetricFamily("alsobought_dead_letters", "Not replayed yet.", value=found.dead_letters)
        batch = "Events of Kafka in a batch, on average in the last hour."
        yield GaugeMetricFamily("alsobought_kafka_events_per_batch", batch, value=found.events_per_batch)
        outcomes = {"stored": found.ever.stored, "duplicate": found.ever.duplicates, "rejected": found.ever.rejected}
        consumed = CounterMetricFamily(
            "alsobought_kafka_messages_consumed", "Messages read, by outcome.", labels=["outcome"]
        )
        messages = CounterMetricFamily(
            "alsobought_kafka_messages", "Deprecated: use alsobought_kafka_messages_consumed.", labels=["outcome"]
        )
        for (outcome, count), deprecated in zip(outcomes.items(), ("stored", "repeats", "refused"), strict=True):
            consumed.add_metric([outcome], count)
            messages.add_metric([deprecated], count)
        yield consumed
        yield messages
        lag = GaugeMetricFamily("alsobought_kafka_lag", "Messages not read yet.", labels=["topic", "partition"])
        for part in found.partitions:
            if part.lag is not None:
                lag.add_metric([part.topic, str(part.partition)], part.lag)
        yield lag

    def _checked(self) -> Iterator[Metric]:
        found = self._watch.checked
        if found is None:
            return
        at, took = found.checked_at.timestamp(), found.seconds
        yield GaugeMetricFamily(
            "alsobought_check_time_seconds", "When a sample of the counts was compared last.", value=at
        )
        yield GaugeMetricFamily("alsobought_check_seconds", "How long that took.", value=took)
        rows = GaugeMetricFamily("alsobought_check_rows", "Rows of the sample that were compared.", labels=["table"])
        wrong = GaugeMetricFamily(
            "alsobought_check_wrong_rows", "Those of them that are not what the events say.", labels=["table"]
        )
        for table in found.tables:
            rows.add_metric([table.table], table.rows)
            wrong.add_metric([table.table], table.wrong)
        yield rows
        yield wrong
