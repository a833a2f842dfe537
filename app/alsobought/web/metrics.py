"""Prometheus metrics, served at /metrics."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from alsobought.formats.calls import Skipped
from alsobought.web.experiment_gauges import ExperimentGauges
from alsobought.web.gauges import ProcessGauges, VitalGauges
from alsobought.web.reject_reasons import reject_reason
from alsobought.web.slowest import SlowestAnswers, this_minute

if TYPE_CHECKING:
    from alsobought.service.experiment_monitor import ExperimentMonitor
    from alsobought.service.monitor import Monitor
    from alsobought.service.service import Service
    from alsobought.service.upkeep import Upkeep
    from alsobought.serving.cached_answers import Answers
    from alsobought.serving.lane import Lane
    from alsobought.serving.request_log import RequestLog
    from alsobought.serving.shadows import Shadows
    from alsobought.web.http.limits import ConnectionCounts
    from alsobought.web.shared_metrics import SharedMetrics

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """One registry per application, so that tests can create several."""

    def __init__(
        self, service: Service, monitor: Monitor | None = None, experiments: ExperimentMonitor | None = None
    ) -> None:
        registry = self._registry = CollectorRegistry()
        self._shared: SharedMetrics | None = None
        self._requests = Counter(
            "alsobought_pipe_requests", "Requests to pipes.", ["pipe", "status"], registry=registry
        )
        self._seconds = Histogram(
            "alsobought_pipe_seconds", "Time to answer.", ["pipe"], buckets=BUCKETS, registry=registry
        )
        self._lane_seconds = Histogram(
            "alsobought_lane_wait_seconds",
            "Time that requests waited for a thread of their lane.",
            ["lane"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._slowest = SlowestAnswers()
        registry.register(self._slowest)
        self._rows = Counter(
            "alsobought_rows", "Events, items and users by outcome.", ["kind", "outcome"], registry=registry
        )
        self._reasons = Counter(
            "alsobought_rejected_rows",
            "Rejected events, items and users, by the field at fault, or unknown_field, too_large, not_json, other.",
            ["kind", "reason"],
            registry=registry,
        )
        self._posts = Counter(
            "alsobought_posts", "Requests that store or delete.", ["endpoint", "status"], registry=registry
        )
        self._post_seconds = Histogram(
            "alsobought_post_seconds",
            "Time to answer requests that store or delete.",
            ["endpoint"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._skipped = Counter(
            "alsobought_skipped_calls",
            "Calls of analytics tools that are none of ours.",
            ["format", "kind"],
            registry=registry,
        )
        self._merged = Counter(
            "alsobought_merged_guests", "Guests merged by calls of analytics tools.", registry=registry
        )
        self._dropped = Counter(
            "alsobought_dropped_events",
            "Posted events and calls of known bots, by the name in sql/bots.csv.",
            ["bot"],
            registry=registry,
        )
        self._turned_away = Counter(
            "alsobought_turned_away_requests",
            "Requests without the right or beyond a limit, by status: 401, 403 or 429.",
            ["status"],
            registry=registry,
        )
        build = Info("alsobought_build", "The version that runs.", registry=registry)
        build.info({"version": version("alsobought")})
        waiting = Gauge("alsobought_waiting_rows", "Rows that wait for Kafka or for the writer.", registry=registry)
        waiting.set_function(lambda: service.waiting)
        as_of = Gauge("alsobought_as_of_seconds", "Ingest time of the newest visible event.", registry=registry)
        as_of.set_function(lambda: service.visibility.as_of.timestamp() if service.visibility.as_of else 0)
        registry.register(_CachedAnswers(service.cache))
        self._process = ProcessGauges(service)
        registry.register(self._process)
        if service.request_log:
            registry.register(_DroppedRequests(service.request_log))
        if experiments:
            registry.register(ExperimentGauges(experiments))
        registry.register(_ShadowRequests(service.shadows))
        if monitor:
            registry.register(_MonitorResults(monitor))
            registry.register(VitalGauges(service, monitor))

    def observe(self, counts: ConnectionCounts, lanes: Sequence[Lane]) -> None:
        """From now on the page shows the connections and the lanes of this process."""
        self._process.counts, self._process.lanes = counts, lanes

    def answered(self, pipe: str, status: int, seconds: float) -> None:
        """`pipe` is empty for an unknown name: clients must not be able to create labels."""
        self._requests.labels(pipe, str(status)).inc()
        self._seconds.labels(pipe).observe(seconds)
        self._slowest.add(pipe, seconds, this_minute())

    def waited(self, lane: str, seconds: float) -> None:
        self._lane_seconds.labels(lane).observe(seconds)

    def accepted(self, kind: str, rows: int, duplicates: int) -> None:
        self._rows.labels(kind, "stored").inc(rows)
        self._rows.labels(kind, "repeat").inc(duplicates)

    def rejected(self, kind: str, problems: Sequence[str]) -> None:
        self._rows.labels(kind, "rejected").inc(len(problems))
        for reason, count in collections.Counter(map(reject_reason, problems)).items():
            self._reasons.labels(kind, reason).inc(count)

    def posted(self, endpoint: str, status: int, seconds: float) -> None:
        self._posts.labels(endpoint, str(status)).inc()
        self._post_seconds.labels(endpoint).observe(seconds)

    def not_stored(self, kind: str, rows: int) -> None:
        """Valid rows that the writer or Kafka did not accept."""
        self._rows.labels(kind, "refused").inc(rows)

    def skipped(self, calls: Iterable[Skipped]) -> None:
        for (of, kind), count in collections.Counter((call.format, call.kind) for call in calls).items():
            self._skipped.labels(of, kind).inc(count)

    def dropped(self, bots: Iterable[str]) -> None:
        for bot, count in collections.Counter(bots).items():
            self._dropped.labels(bot).inc(count)

    def turned_away(self, status: int) -> None:
        self._turned_away.labels(str(status)).inc()

    def merged(self, guests: int) -> None:
        self._merged.inc(guests)

    def share(self, shared: SharedMetrics, slot: int) -> None:
        """From now on the page is that of all processes."""
        shared.join(slot, lambda: generate_latest(self._registry))
        self._shared = shared

    def page(self) -> tuple[bytes, str]:
        text = self._shared.page() if self._shared else generate_latest(self._registry)
        return text, CONTENT_TYPE_LATEST


class _CachedAnswers(Collector):
    """The counters and the size of the cache."""

    def __init__(self, cache: Answers) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        counts = self._cache.counts
        text = (
            "Answers of pipes with @cache: from the cache (hit, stale_hit), or computed while the caller waited (miss)."
        )
        requests = CounterMetricFamily("alsobought_cache_requests", text, labels=["outcome"])
        for outcome, count in {"hit": counts.hits, "stale_hit": counts.stale_hits, "miss": counts.misses}.items():
            requests.add_metric([outcome], count)
        yield requests
        text = "Stale answers computed again in the background."
        yield CounterMetricFamily("alsobought_cache_refreshes", text, value=counts.refreshes)
        text = "Refreshes that failed: the stale answer was served until its deadline."
        yield CounterMetricFamily("alsobought_cache_failed_refreshes", text, value=counts.failed_refreshes)
        yield GaugeMetricFamily(
            "alsobought_cache_answers", "Cached answers, stale ones included.", value=len(self._cache)
        )
        yield GaugeMetricFamily(
            "alsobought_cache_bytes", "Size of their JSON, parameters and tags.", value=self._cache.size
        )


class _DroppedRequests(Collector):
    """The counter of the request log."""

    def __init__(self, request_log: RequestLog) -> None:
        self._request_log = request_log

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Requests missing from the table requests: the queue was full, or storing failed."
        yield CounterMetricFamily("alsobought_requests_dropped", text, value=self._request_log.dropped)


class _ShadowRequests(Collector):
    """The counters of the shadows."""

    def __init__(self, shadows: Shadows) -> None:
        self._shadows = shadows

    def collect(self) -> Iterator[CounterMetricFamily]:
        text = "Requests to the shadow of a surface: asked, or dropped since too many waited."
        requests = CounterMetricFamily("alsobought_shadow_requests", text, labels=["outcome"])
        requests.add_metric(["asked"], self._shadows.asked)
        requests.add_metric(["dropped"], self._shadows.dropped)
        yield requests


class _MonitorResults(Collector):
    """The latest results of the monitor: Kafka status and alarms."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        status = self._monitor.status
        text = "Count tables that do not add up, missed offsets, and a halted stream."
        yield GaugeMetricFamily("alsobought_alarms", text, value=len(self._monitor.alarms))
        yield from self._sample()
        yield from _upkeep(self._monitor.upkeep)
        if status is None:
            return
        yield GaugeMetricFamily("alsobought_dead_letters", "Not replayed yet.", value=status.dead_letters)
        text = "Average number of Kafka events in a batch during the last hour."
        yield GaugeMetricFamily("alsobought_kafka_events_per_batch", text, value=status.events_per_batch)
        text = "1 while reading from Kafka is halted, else 0."
        yield GaugeMetricFamily("alsobought_kafka_halted", text, value=1 if status.halt else 0)
        outcomes = {"stored": status.ever.stored, "duplicate": status.ever.duplicates, "rejected": status.ever.rejected}
        consumed = CounterMetricFamily(
            "alsobought_kafka_messages_consumed", "Messages read, by outcome.", labels=["outcome"]
        )
        messages = CounterMetricFamily(
            "alsobought_kafka_messages", "Deprecated: use alsobought_kafka_messages_consumed.", labels=["outcome"]
        )
        for (outcome, count), deprecated in zip(outcomes.items(), ("stored", "repeats", "refused"), strict=True):
            consumed.add_metric([outcome], count)
            messages.add_metric([deprecated], count)
        consumed.add_metric(["skipped"], status.ever.skipped)
        yield consumed
        yield messages
        lag = GaugeMetricFamily("alsobought_kafka_lag", "Messages not read yet.", labels=["topic", "partition"])
        for partition in status.partitions:
            if partition.lag is not None:
                lag.add_metric([partition.topic, str(partition.partition)], partition.lag)
        yield lag

    def _sample(self) -> Iterator[Metric]:
        checked = self._monitor.checked
        if checked is None:
            return
        text = "When a sample of the count tables was last compared."
        yield GaugeMetricFamily("alsobought_check_time_seconds", text, value=checked.checked_at.timestamp())
        yield GaugeMetricFamily("alsobought_check_seconds", "Duration of that comparison.", value=checked.seconds)
        rows = GaugeMetricFamily("alsobought_check_rows", "Rows of the sample that were compared.", labels=["table"])
        text = "Rows of the sample that differ from a recompute of the events."
        wrong = GaugeMetricFamily("alsobought_check_wrong_rows", text, labels=["table"])
        for table in checked.tables:
            rows.add_metric([table.table], table.rows)
            wrong.add_metric([table.table], table.wrong)
        yield rows
        yield wrong


def _upkeep(upkeep: Upkeep) -> Iterator[Metric]:
    """Damaged parts and backups."""
    text = "Parts whose bytes are damaged, as the last search found; those that could not be loaded are known at the start."
    broken = GaugeMetricFamily("alsobought_broken_parts", text, labels=["table"])
    for table, parts in collections.Counter(part.table for part in upkeep.broken).items():
        broken.add_metric([table], parts)
    yield broken
    if upkeep.scrubbed_at:
        text = "When all parts were last searched for damage."
        yield GaugeMetricFamily("alsobought_scrub_time_seconds", text, value=upkeep.scrubbed_at.timestamp())
    if upkeep.backup_at:
        text = "When the newest backup of this service was taken."
        yield GaugeMetricFamily("alsobought_backup_time_seconds", text, value=upkeep.backup_at.timestamp())
    text = "1 if the last backup of this service failed, else 0."
    yield GaugeMetricFamily("alsobought_backup_failed", text, value=1 if upkeep.backup_fault else 0)
