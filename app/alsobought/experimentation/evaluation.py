"""Evaluate the experiments of a shop: read their sums and stops, or the votes of interleaved lists, and report."""

from __future__ import annotations

from datetime import datetime

from alsobought.experimentation.preference import preference_report
from alsobought.experimentation.reading import read_sums
from alsobought.experimentation.report import Report, report_of
from alsobought.experimentation.stops import changes
from alsobought.experimentation.votes import read_votes
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.experiment import Experiment


def evaluate(warehouse: Warehouse, settings: Settings, experiment: Experiment, now: datetime) -> Report:
    """What an experiment shows by now. Raises WarehouseFault, Unusable."""
    home = settings.home_folder
    if experiment.interleave:
        votes = read_votes(warehouse, home, experiment, now, settings.attribution_days)
        return preference_report(experiment, votes, now)
    return report_of(experiment, read_sums(warehouse, home, experiment, now), changes(warehouse), now)
