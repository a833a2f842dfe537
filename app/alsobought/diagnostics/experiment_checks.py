"""Checks of experiments: variants that a guardrail has stopped."""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.diagnostics.findings import Finding
from alsobought.experimentation.stops import changes, stops_of
from alsobought.storage.warehouse import Warehouse


def check_experiments(warehouse: Warehouse) -> Iterator[Finding]:
    """A finding for each stopped variant."""
    for stop in stops_of(changes(warehouse)):
        yield Finding(
            "experiments",
            "warning",
            f"{stop.variant} of {stop.experiment} is stopped since {stop.at:%Y-%m-%d %H:%M} UTC: {stop.reason}",
            f"See `alsobought experiment show {stop.experiment}`, then remove the variant,"
            f" or `alsobought experiment resume {stop.experiment} {stop.variant}`",
        )
