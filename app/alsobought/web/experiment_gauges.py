"""The metrics of running experiments, as the last look found them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from alsobought.service.experiment_monitor import ExperimentMonitor


class ExperimentGauges(Collector):
    """Of experiments that were evaluated and run."""

    def __init__(self, monitor: ExperimentMonitor) -> None:
        self._monitor = monitor

    def collect(self) -> Iterator[Metric]:
        labels = ["experiment", "variant"]
        text = "Units that saw a list of the variant."
        units = GaugeMetricFamily("alsobought_experiment_units", text, labels=labels)
        text = "1 while a guardrail keeps the variant from being shown, else 0."
        stopped = GaugeMetricFamily("alsobought_experiment_stopped", text, labels=labels)
        text = "1 if units do not come to the variants as planned, else 0."
        broken = GaugeMetricFamily("alsobought_experiment_split_broken", text, labels=["experiment"])
        for report in self._monitor.reports.values():
            if report.state != "running":
                continue
            broken.add_metric([report.name], int(report.is_split_broken))
            for variant in () if report.preference else report.variants:
                units.add_metric([report.name, variant.name], variant.units)
                stopped.add_metric([report.name, variant.name], int(variant.stop is not None))
        yield units
        yield stopped
        yield broken
