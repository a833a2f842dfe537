"""Evaluate the experiments of a shop: read their sums and stops, and report."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from alsobought.experimentation.reading import read_sums
from alsobought.experimentation.report import Report, report_of
from alsobought.experimentation.stops import changes
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.experiment import Experiment


def evaluate(warehouse: Warehouse, home: Path, experiment: Experiment, now: datetime) -> Report:
    """What an experiment shows by now. Raises WarehouseFault, Unusable."""
    return report_of(experiment, read_sums(warehouse, home, experiment, now), changes(warehouse), now)
