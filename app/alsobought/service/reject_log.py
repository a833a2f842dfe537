"""Events and items that were posted and rejected, kept beside the dead letters of Kafka, so that an operator sees and replays them.

Whoever posts them learns it from the response, but browsers do not read it. A page that is wrong may post thousands a minute: only
the first of each minute are kept, the metrics count all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alsobought.events import Rejected
from alsobought.kafka.decoding import DeadLetter
from alsobought.serving.row_log import RowLog, TaskRunner
from alsobought.writer.submission import utc_now

SOURCE = "http"
MAX_PER_MINUTE = 100
MAX_BYTES = 65_536  # of a longer one only the beginning is kept


@dataclass(frozen=True)
class RejectedObject:
    topic: str
    problem: str
    body: bytes
    at: datetime = field(default_factory=utc_now)


class RejectLog:
    """Its letters have the source `http`, the process as their partition, and microseconds as offsets. Thread-safe."""

    def __init__(self, writer: TaskRunner) -> None:
        self._log = RowLog[RejectedObject](writer, "dead_letters", "rejected events", self._letter)
        self._last_offset = 0
        self._minute, self._added = 0, 0

    def start(self) -> None:
        self._log.start()

    def stop(self) -> None:
        self._log.stop()

    def flush(self) -> None:
        self._log.flush()

    def add(self, topic: str, rejected: Sequence[Rejected], objects: Sequence[bytes] | Mapping[int, bytes]) -> None:
        """Keep rejected objects of a request, if not too many were kept in this minute."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._added = minute, 0
        first = rejected[: max(0, MAX_PER_MINUTE - self._added)]
        self._added += len(first)
        for reject in first:
            self._log.add(RejectedObject(topic, reject.problem, objects[reject.index][:MAX_BYTES]))

    def _letter(self, rejected: RejectedObject) -> DeadLetter:
        self._last_offset = max(self._last_offset + 1, time.time_ns() // 1000)
        letter = DeadLetter.of_message(rejected.body)
        return DeadLetter(
            SOURCE, rejected.topic, os.getpid(), self._last_offset, rejected.problem, *letter, noted_at=rejected.at
        )
