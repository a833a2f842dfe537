"""How a table with damaged parts is mended: made again from the events, learned again, or put back from a backup."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from alsobought.learning.registry import LEARNERS
from alsobought.storage.count_tables import count_tables
from alsobought.storage.serving_tables import serving_tables
from alsobought.storage.warehouse import Warehouse

OWN = frozenset({"requests", "dropped_events"})  # records of the service, on which nothing relies


@dataclass(frozen=True)
class Remedies:
    """The tables that are made from the events, and the learner of each learned table."""

    counts: Set[str] = frozenset()
    serving: Set[str] = frozenset()
    learners: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, warehouse: Warehouse, home: Path) -> Remedies:
        serving = {table.name for table in serving_tables(home, warehouse.database)}
        learners = {table: name for name, learner in LEARNERS.items() for table in learner.tables}
        return cls({table.name for table in count_tables(warehouse)}, serving, learners)

    def advice(self, table: str) -> str:
        """What to run."""
        if table in self.counts or table in self.serving:
            return f"`alsobought rebuild {table}` makes it again from the events"
        if table in self.learners:
            return f"`alsobought learn {self.learners[table]}` makes it again"
        return "`alsobought repair` puts it back from a backup"

    def needs_backup(self, table: str) -> bool:
        """True for the events, and for what else the warehouse could not do without."""
        return (
            table not in self.counts and table not in self.serving and table not in self.learners and table not in OWN
        )
