"""The metrics of what the service uses: memory, disk, queues, connections, pipes. Computed at each scrape."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alsobought.service.vitals import resident_bytes
from alsobought.storage.machine_memory import usable_memory

if TYPE_CHECKING:
    from alsobought.service.monitor import Monitor
    from alsobought.service.service import Service
    from alsobought.serving.lane import Lane
    from alsobought.web.http.limits import ConnectionCounts


class ProcessGauges(Collector):
    """Of this process and of what it serves; `counts` and `lanes` are those of its gunicorn worker, if it has one."""

    def __init__(self, service: Service) -> None:
        self._service, self._started_at = service, time.time()
        self._memory_limit = usable_memory()
        self.counts: ConnectionCounts | None = None
        self.lanes: Sequence[Lane] = ()

    def collect(self) -> Iterator[Metric]:
        text = "Memory of the process that is in RAM, an embedded engine included."
        yield GaugeMetricFamily("alsobought_memory_bytes", text, value=resident_bytes())
        text = "Memory that the machine or the container allows."
        yield GaugeMetricFamily("alsobought_memory_limit_bytes", text, value=self._memory_limit)
        text = "When this process started; with several, the newest."
        yield GaugeMetricFamily("alsobought_start_time_seconds", text, value=self._started_at)
        text = "Nothing is stored while the disk has less free space than this."
        yield GaugeMetricFamily("alsobought_disk_min_free_bytes", text, value=self._service.settings.min_free_bytes)
        text = "Size of the rows that wait for the writer, as they were sent."
        yield GaugeMetricFamily("alsobought_waiting_bytes", text, value=self._service.writer.waiting_bytes)
        text = "Rows that may wait for the writer: beyond that, callers get 503."
        yield GaugeMetricFamily("alsobought_queue_rows", text, value=self._service.settings.queue_rows)
        text = "1 while new events are stored, or followed where another process stores them, else 0."
        alive = 1 if self._service.visibility.alive else 0
        yield GaugeMetricFamily("alsobought_writer_running", text, value=alive)
        yield self._pipes()
        yield self._queries()
        yield from self._requests()

    def _pipes(self) -> Metric:
        text = "Pipes by state: ready, stale (the file has a fault, its last valid text answers), broken, unread (not asked yet)."
        pipes = GaugeMetricFamily("alsobought_pipes", text, labels=["state"])
        for state, number in self._service.library.states().items():
            pipes.add_metric([state], number)
        return pipes

    def _queries(self) -> Metric:
        text = "Queries of requests that run, and that wait for a slot: as many run together as there are cores."
        queries = GaugeMetricFamily("alsobought_queries", text, labels=["state"])
        load = self._service.answers.queries.load
        queries.add_metric(["running"], load[0])
        queries.add_metric(["waiting"], load[1])
        return queries

    def _requests(self) -> Iterator[Metric]:
        text = "Requests of each lane that run in a thread, and that wait for one."
        calls = GaugeMetricFamily("alsobought_lane_requests", text, labels=["lane", "state"])
        threads = GaugeMetricFamily("alsobought_lane_threads", "Threads of each lane.", labels=["lane"])
        for lane in self.lanes:
            running, waiting = lane.calls
            calls.add_metric([lane.name, "running"], running)
            calls.add_metric([lane.name, "waiting"], waiting)
            threads.add_metric([lane.name], lane.threads)
        yield calls
        yield threads
        text = "Open connections: idle between two requests, or active."
        connections = GaugeMetricFamily("alsobought_connections", text, labels=["state"])
        text = "Connections that were refused or cut off, by reason; timeouts of idle ones are none."
        ended = CounterMetricFamily("alsobought_connections_refused", text, labels=["reason"])
        if self.counts:
            connections.add_metric(["idle"], self.counts.idle)
            connections.add_metric(["active"], max(0, self.counts.open - self.counts.idle))
            for reason, number in self.counts.ended.items():
                ended.add_metric([reason], number)
        yield connections
        yield ended


class VitalGauges(Collector):
    """The last readings of the monitor."""

    def __init__(self, service: Service, monitor: Monitor) -> None:
        self._service, self._monitor = service, monitor

    def collect(self) -> Iterator[Metric]:
        vitals, upkeep = self._monitor.vitals, self._monitor.upkeep
        readings = vitals.latest
        is_ready = readings.answers and self._service.visibility.alive and not upkeep.only_in_backups
        text = "1 while the service can answer, as /readyz does, at most 15 seconds old; else 0."
        yield GaugeMetricFamily("alsobought_ready", text, value=1 if is_ready and self._has_pipes() else 0)
        for name, text, value in (
            ("engine_memory_bytes", "Memory that ClickHouse counts as its own.", readings.engine_memory),
            ("disk_free_bytes", "Free space of the disk with the warehouse.", readings.disk_free),
            (
                "warehouse_bytes",
                "Size of the warehouse on its disk: the folder, or on a server the tables.",
                readings.warehouse_bytes,
            ),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"alsobought_{name}", text, value=value)
        text = "When `alsobought learn` last computed these tables."
        learned = GaugeMetricFamily("alsobought_learned_time_seconds", text, labels=["name"])
        for name, at in (readings.learned_at or {}).items():
            learned.add_metric([name], at.timestamp())
        yield learned
        online = self._monitor.online
        text = "Refits of the ranker from clicks by this service, by outcome: accepted, rejected (it would be worse), failed."
        refits = CounterMetricFamily("alsobought_online_refits", text, labels=["outcome"])
        for outcome, number in online.refits.items():
            refits.add_metric([outcome], number)
        yield refits
        text = "CPU time of the thread that refits, without that of its queries."
        yield CounterMetricFamily("alsobought_online_learning_seconds", text, value=online.seconds)

    def _has_pipes(self) -> bool:
        states = Counter(self._service.library.states())
        return states["broken"] < states.total()
