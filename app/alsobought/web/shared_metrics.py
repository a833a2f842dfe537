"""Metrics of several HTTP processes as one page: each writes its own into memory that all share, and any answers for all.

Counters are summed. They go on where a process ends and another takes its slot: a sum that decreases would look like a restart
of the service.
"""

from __future__ import annotations

import mmap
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from alsobought.serving.siblings import SLOTS

PAGE_BYTES = 1_000_000  # of a slot; memory is used when it is written
HEADER = struct.Struct("<II?")  # length, checksum, and whether the process runs
WRITE_SECONDS = 1.0
READ_ATTEMPTS, ATTEMPT_SECONDS = 20, 0.001  # a page that is being written has a wrong checksum
SUMMED = {
    "alsobought_waiting_rows",
    "alsobought_waiting_bytes",
    "alsobought_cache_answers",
    "alsobought_cache_bytes",
    "alsobought_memory_bytes",
    "alsobought_connections",
    "alsobought_lane_requests",
    "alsobought_lane_threads",
    "alsobought_queries",
}
SAME_IN_ALL = "alsobought_kafka_"
LEAST = {"alsobought_ready", "alsobought_writer_running"}  # of the process that is worst


@dataclass(frozen=True)
class Page:
    text: bytes
    running: bool


class SharedMetrics:
    """Create it before the processes are forked. The parent reports those that ended; each process joins with its slot."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * PAGE_BYTES)
        self._slot = 0
        self._own: Callable[[], bytes] = lambda: b""
        self._before = Page(b"", running=False)  # of earlier processes in this slot
        self._writing = threading.Lock()

    def end(self, slot: int) -> None:
        """Count only the counters of a process that has ended."""
        if page := self._read(slot):
            self._write(slot, Page(page.text, running=False))

    def join(self, slot: int, own: Callable[[], bytes]) -> None:
        """Write the page of this process every second."""
        self._slot, self._own = slot, own
        if page := self._read(slot):
            self._before = Page(page.text, running=False)
        self._write_own()
        threading.Thread(target=self._run, name="shared-metrics", daemon=True).start()

    def page(self) -> bytes:
        """The metrics of all processes: of this one now, of the others at most WRITE_SECONDS ago."""
        self._write_own()
        pages = [self._read(slot) for slot in range(SLOTS)]
        return merged([page for page in pages if page])

    def _run(self) -> None:
        while True:
            time.sleep(WRITE_SECONDS)
            self._write_own()

    def _write_own(self) -> None:
        with self._writing:
            own = Page(self._own(), running=True)
            self._write(self._slot, Page(merged([self._before, own]), running=True) if self._before.text else own)

    def _write(self, slot: int, page: Page) -> None:
        text = page.text[: PAGE_BYTES - HEADER.size]
        start = slot * PAGE_BYTES + HEADER.size
        self._memory[start : start + len(text)] = text
        HEADER.pack_into(self._memory, slot * PAGE_BYTES, len(text), zlib.crc32(text), page.running)

    def _read(self, slot: int) -> Page | None:
        for _ in range(READ_ATTEMPTS):
            length, checksum, running = HEADER.unpack_from(self._memory, slot * PAGE_BYTES)
            start = slot * PAGE_BYTES + HEADER.size
            text = self._memory[start : start + length]
            if zlib.crc32(text) == checksum:
                return Page(text, running) if length else None
            time.sleep(ATTEMPT_SECONDS)
        return None


def merged(pages: Sequence[Page]) -> bytes:
    """One page of several in the Prometheus text format."""
    families: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], list[float]]] = {}
    for page in pages:
        for family in text_string_to_metric_families(page.text.decode()):
            if page.running or _is_summed(family):
                families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                samples = values.setdefault(family.name, {})
                for sample in family.samples:
                    samples.setdefault((sample.name, tuple(sample.labels.items())), []).append(sample.value)
    for name, metric in families.items():
        combine = _combination(metric)
        for (sample_name, labels), numbers in values[name].items():
            metric.add_sample(sample_name, dict(labels), combine(numbers))
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    return generate_latest(registry)


def _is_summed(family: Metric) -> bool:
    counts = family.type in ("counter", "histogram")
    return counts and not family.name.startswith(SAME_IN_ALL)


def _combination(family: Metric) -> Callable[[Sequence[float]], float]:
    if _is_summed(family) or family.name in SUMMED:
        return sum
    if family.name == "alsobought_as_of_seconds":  # 0: that process has seen no event yet
        return lambda values: min((value for value in values if value), default=0.0)
    if family.name in LEAST:
        return min
    return max


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families
