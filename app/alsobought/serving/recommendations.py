"""Recommendation ids of answers, and the placements that they name, in the table `placements`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from alsobought.recommendation_ids import Placement, RecommendationIds
from alsobought.serving.row_log import RowLog, TaskRunner


class PlacementRow(msgspec.Struct, frozen=True):
    """A row of the table `placements`."""

    placement: int
    surface: str
    pipe: str
    version: str
    experiment: str
    variant: str
    since: datetime


class Recommendations:
    """One per running service; threads and the event loop share it."""

    def __init__(self, ids: RecommendationIds, writer: TaskRunner) -> None:
        self.ids = ids
        self._log = RowLog[PlacementRow](writer, "placements", "placements", lambda row: row)
        self._noted: set[int] = set()

    def start(self) -> None:
        self._log.start()

    def stop(self) -> None:
        self._log.stop()

    def flush(self) -> None:
        """Store the placements that are noted now."""
        self._log.flush()

    def forget(self) -> None:
        """Write every placement again: somebody emptied the table."""
        self._log.flush()
        self._noted.clear()

    def mint(self, placement: Placement, at: datetime) -> str:
        """The id of an answer at this time; empty where there are none."""
        recommendation_id = self.ids.mint(placement, at)
        if recommendation_id and placement.key not in self._noted:
            self._noted.add(placement.key)
            one = placement
            self._log.add(PlacementRow(one.key, one.surface, one.pipe, one.version, one.experiment, one.variant, at))
        return recommendation_id
