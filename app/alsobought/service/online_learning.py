"""Refit the ranker from clicks while the service runs, every ALSOBOUGHT_LEARN_ONLINE seconds.

One thread with a low priority, which rests for REST times as long as a refit takes: at most a quarter of one core. Each refit
starts from the weights in service and is rejected where it would be worse on the newest impressions. Of several processes one
refits at a time: none while a run is newer than the setting says; of two tables that are made at once the later one wins.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any

from alsobought.console import no_bar
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.learning.context import Context
from alsobought.learning.protocol import default_options
from alsobought.learning.ranker import Ranker
from alsobought.learning.runs import latest_runs
from alsobought.service.maintenance import run_task
from alsobought.writer.sharded import AnyWriter, writers_of

log = logging.getLogger(__name__)

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
REST = 3.0
NICE = 10
MIN_NEW_IMPRESSIONS = 100
OPTIONS: Mapping[str, Any] = {
    **default_options(Ranker()),
    "from": "clicks",
    "days": 2,
    "impressions": 20_000,
    "items": 400,
    "people": 50,
    "l2": 10.0,
}
"""A few minutes' clicks move weights little, by a larger l2; those of two days, little by little."""


class OnlineLearning:
    """`refit` once, or `start` a thread. `refits` are counted by outcome; `seconds` is the CPU time of the thread for them."""

    def __init__(self, writer: AnyWriter) -> None:
        """Raises Unusable if the setting is on and the libraries are not installed."""
        self._writer, self._settings = writer, writer.settings
        self.refits: Counter[str] = Counter(accepted=0, rejected=0, failed=0)
        self.seconds = 0.0
        self._warehouse = writer.warehouse.another()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="online-learning", daemon=True)
        self._cache: Any = None
        self._since, self._rejected_before = NEVER, False
        if self._settings.learn_online and not find_spec("sklearn"):
            raise Unusable("ALSOBOUGHT_LEARN_ONLINE needs scikit-learn", "pip install 'alsobought[learn]'")

    def start(self) -> None:
        if self._settings.learn_online:
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._warehouse.close()

    def refit(self) -> str:
        """Refits if enough was shown since the last refit. Returns the outcome: accepted, rejected, failed, or empty for none."""
        from threadpoolctl import threadpool_limits

        now = self._writer.clock()
        if not self._is_due(now):
            return ""
        began = time.thread_time()
        try:
            with threadpool_limits(1):
                outcome = self._learn(now)
        except AlsoboughtError as error:
            log.warning("online learning failed: %s", error)
            outcome = "failed"
        self.seconds += time.thread_time() - began
        if outcome:
            self.refits[outcome] += 1
        return outcome

    def _learn(self, now: datetime) -> str:
        from alsobought.learning.click_examples import CandidateCache
        from alsobought.learning.ranker_clicks import TooFewClicks, WorseWeights, learn_from_clicks
        from alsobought.learning.runs import record_run

        self._cache = self._cache or CandidateCache()
        context = Context(
            self._warehouse,
            self._settings.home_folder,
            now,
            lambda title, total, _unit: no_bar(title, total),
            lambda table, replacement: run_task(self._writer, "swap in a learned table", table, replacement),
            self._settings.attribution_days,
        )
        began = time.monotonic()
        self._since = now
        try:
            result = learn_from_clicks(context, OPTIONS, "online", self._cache)
        except TooFewClicks:
            return ""
        except WorseWeights as error:
            level = logging.INFO if self._rejected_before else logging.WARNING  # of several in a row the first
            log.log(level, "online learning: %s", error)
            self._rejected_before = True
            return "rejected"
        self._rejected_before = False
        record_run(self._warehouse, "ranker", OPTIONS, result, now, time.monotonic() - began)
        log.info("online learning: %s", result.line)
        return "accepted"

    def _is_due(self, now: datetime) -> bool:
        """True if this process stores events, and enough was shown since the last refit of any process."""
        if not all(writer.alive for writer in writers_of(self._writer)):
            return False
        newest = latest_runs(self._warehouse).get("ranker")
        seconds = self._settings.learn_online
        if newest and now - newest.learned_at < timedelta(seconds=seconds):
            return False
        since = max(self._since, newest.learned_at if newest else NEVER)
        return self._shown_since(since) >= MIN_NEW_IMPRESSIONS

    def _shown_since(self, since: datetime) -> int:
        sql = (
            f"select count() from {self._warehouse.database}.touches where event_type = 'impression'"
            " and day >= toDate(toDateTime({since:UInt32}, 'UTC')) and first_time > toDateTime({since:UInt32}, 'UTC')"
        )
        return int(self._warehouse.trusted_rows(sql, {"since": int(since.timestamp())}).data[0][0])

    def _run(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)  # of this thread alone
        wait = float(self._settings.learn_online)
        while not self._stopped.wait(wait):
            began = time.monotonic()
            try:
                self.refit()
            except Exception:
                self.refits["failed"] += 1
                log.exception("online learning failed")
            wait = max(float(self._settings.learn_online), REST * (time.monotonic() - began))
