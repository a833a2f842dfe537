"""Shadows: a pipe that is asked beside the one whose list is shown, and recorded for a comparison.

Nobody waits for it: one thread asks, with the priority of a refresh, and what does not fit into its short queue is dropped. An
answer from the cache has no shadow, since the computation of that answer had one. A shadow does not explore: nobody learns from
what nobody sees, and only a list without chance can be compared with one that was shown (`alsobought.off_policy`).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from alsobought.errors import AlsoboughtError
from alsobought.recommendation_ids import Placement
from alsobought.serving.answer import Answer
from alsobought.serving.cached_answers import CachedAnswers
from alsobought.serving.lane import Lane
from alsobought.serving.refresher import run_in_background
from alsobought.serving.request_log import RequestLog, RequestRecord, encode_parameters

THREADS, MAX_WAITING = 1, 8


class Shadows:
    """Thread-safe. Without a request log there is nothing to record, so nothing is asked."""

    def __init__(self, answers: CachedAnswers, request_log: RequestLog | None, clock: Callable[[], datetime]) -> None:
        self._answers, self._log, self._clock = answers, request_log, clock
        self._lane = Lane("shadow", THREADS, MAX_WAITING)
        self._shadowed = WeakValueDictionary[int, Answer]()  # computed answers, which several requests may share
        self._lock = threading.Lock()
        self._last: Future[Any] | None = None
        self.asked, self.dropped = 0, 0

    def ask(
        self, pipe: str, surface: str, raw: Mapping[str, Sequence[Any]], shown: Answer, shown_request_id: str
    ) -> None:
        """Ask this pipe soon, unless the answer that was `shown` is from the cache or has had its shadow."""
        if self._log is None or shown.cached:
            return
        with self._lock:
            if self._shadowed.get(id(shown)) is shown:
                return
            self._shadowed[id(shown)] = shown
            run = partial(self._ask, pipe, surface, raw, shown_request_id)
            if queued := self._lane.submit(run_in_background, run):
                self._last = queued
                self.asked += 1
            else:
                self.dropped += 1

    def wait(self) -> None:
        """Until all that was asked so far is recorded; one that was dropped is not."""
        if done := self._last:
            done.result()

    def shutdown(self) -> None:
        """Wait for the one that runs; those that wait for the thread do not begin."""
        self._lane.shutdown(wait=True, cancel=True)

    def _ask(self, pipe: str, surface: str, raw: Mapping[str, Sequence[Any]], shown_request_id: str) -> None:
        now, started = self._clock(), time.perf_counter()
        answer, status, code = None, 200, ""
        try:
            answer = self._answers.answer(pipe, raw)
        except AlsoboughtError as error:
            status, code = error.status, error.code
        placement = Placement(pipe, answer.pipe.version if answer else self._answers.library.version(pipe), surface)
        record = RequestRecord(
            now,
            uuid.uuid4().hex[:16],
            placement,
            encode_parameters(raw),
            status,
            code,
            time.perf_counter() - started,
            answer,
            shadow_of=shown_request_id,
        )
        if self._log:
            self._log.add(record)
