"""Evaluate running experiments, and stop the variants that a guardrail takes out.

A broken split is a warning and stops nothing: its numbers cannot be trusted, and neither can a guardrail's.
"""

from __future__ import annotations

import logging
import threading
import time

from alsobought.access.audit import Actor
from alsobought.access.audit_log import AuditLog
from alsobought.experimentation.evaluation import evaluate
from alsobought.experimentation.report import Report
from alsobought.experimentation.stops import changes, stop, stops_of
from alsobought.experimentation.words import stop_reason
from alsobought.periodic_thread import PeriodicThread
from alsobought.service.service import Service
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

ACTOR = Actor(via="monitor", id="experiment monitor")
FRESH_SECONDS = 30.0  # a report that is not older answers again: a page that many watch costs one evaluation


class ExperimentMonitor:
    """One per process. `reports` are those of the last look, by experiment. Thread-safe."""

    def __init__(self, service: Service, warehouse: Warehouse, audit: AuditLog) -> None:
        """It closes the warehouse."""
        self._warehouse, self._audit = warehouse, audit
        self._surfaces, self._settings, self._clock = service.surfaces, service.settings, service.clock
        self._evaluating = threading.Lock()
        self._evaluated: dict[str, tuple[float, Report]] = {}
        self._warned: set[str] = set()
        self._thread = PeriodicThread("experiment-monitor", self.refresh, "experiments could not be evaluated")

    @property
    def reports(self) -> dict[str, Report]:
        return {name: report for name, (_, report) in list(self._evaluated.items())}

    def report(self, name: str) -> Report | None:
        """Of an experiment, at most FRESH_SECONDS old; None if there is no such experiment. Raises WarehouseFault, Unusable."""
        with self._evaluating:
            experiment = self._surfaces.current().experiments.by_name.get(name)
            if experiment is None:
                return None
            at, report = self._evaluated.get(name, (-FRESH_SECONDS, None))
            if report is None or time.monotonic() - at > FRESH_SECONDS:
                report = evaluate(self._warehouse, self._settings, experiment, self._clock())
                self._evaluated[name] = (time.monotonic(), report)
            return report

    def forget(self, name: str) -> None:
        """Evaluate this experiment again when it is asked for next."""
        self._evaluated.pop(name, None)

    def refresh(self) -> None:
        """Evaluate what runs, and stop what a guardrail takes out. Raises WarehouseFault, NotStored."""
        for name, experiment in self._surfaces.current().experiments.by_name.items():
            if experiment.is_running(self._clock()):
                self.forget(name)
                report = self.report(name)
                if report and report.is_split_broken:
                    self._warn_once(name)
                elif report:
                    self._stop_breached(report)

    def start(self) -> None:
        if self._settings.experiment_seconds:
            self._thread.start(self._settings.experiment_seconds)

    def close(self) -> None:
        self._thread.close()
        self._warehouse.close()

    def _warn_once(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            log.warning("the split of experiment %s is broken: see `alsobought experiment show %s`", name, name)

    def _stop_breached(self, report: Report) -> None:
        for variant in report.variants:
            breached = next((one for one in variant.guardrails if one.breached), None)
            if breached is None or variant.stop:
                continue
            stopped = [(one.experiment, one.variant) for one in stops_of(changes(self._warehouse))]
            if (report.name, variant.name) in stopped:
                continue  # by another process meanwhile
            reason, subject = stop_reason(breached), f"{report.name} {variant.name}"
            with self._audit.recorded(ACTOR, "experiment.stop", subject, {"reason": reason}):
                stop(self._warehouse, report.name, variant.name, reason, self._clock())
            log.error("experiment %s: the variant %s is stopped: %s", report.name, variant.name, reason)
            self.forget(report.name)
