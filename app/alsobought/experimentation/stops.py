"""The table `experiment_stops`: variants that a guardrail stopped, which are not shown any more although their experiment runs.

Every process of the service polls it, so that a stop counts everywhere within seconds and after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.periodic_thread import PeriodicThread
from alsobought.storage.sql_text import time_text
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.experiment import Experiment

TABLE = "experiment_stops"
POLL_SECONDS = 2.0


class Stop(msgspec.Struct, frozen=True):
    """A variant that is not shown any more, since when and why."""

    experiment: str
    variant: str
    at: datetime
    reason: str


class Change(msgspec.Struct, frozen=True):
    """A row of the table: the variant was stopped at this time, or resumed."""

    experiment: str
    variant: str
    at: datetime
    is_stopped: bool
    reason: str


def changes(warehouse: Warehouse) -> list[Change]:
    """All stops and resumptions, the oldest first. Raises WarehouseFault."""
    sql = (
        "select experiment, variant, toUnixTimestamp64Milli(at), is_stopped, reason"
        f" from {warehouse.database}.{TABLE} order by at, experiment, variant"
    )
    return [_change(*row) for row in warehouse.trusted_rows(sql).data]


def stops_of(known: Sequence[Change]) -> list[Stop]:
    """The variants that are stopped now."""
    newest = {(change.experiment, change.variant): change for change in known}
    return [Stop(one.experiment, one.variant, one.at, one.reason) for one in newest.values() if one.is_stopped]


def stop(warehouse: Warehouse, experiment: str, variant: str, reason: str, at: datetime) -> None:
    """Raises NotStored.

    Two processes may store the same stop at the same moment. The table is no ledger of who was first: the newest row counts, and
    both say the same.
    """
    _insert(warehouse, Change(experiment, variant, at, True, reason))


def resume(warehouse: Warehouse, experiment: Experiment, variant: str, at: datetime) -> Stop:
    """Show a variant again. Returns the stop that ends. Raises Unusable if the variant is not stopped, NotStored."""
    of_experiment = [one for one in stops_of(changes(warehouse)) if one.experiment == experiment.name]
    ended = next((one for one in of_experiment if one.variant == variant), None)
    if ended is None:
        stopped = ", ".join(one.variant for one in of_experiment) or "none is"
        raise Unusable(f"the variant {variant!r} of {experiment.name} is not stopped", f"Stopped variants: {stopped}")
    _insert(warehouse, Change(experiment.name, variant, at, False, ""))
    return ended


class PolledStops:
    """The stops as one process knows them: a look-up in memory for each request, and a thread that reads the table."""

    def __init__(self, warehouse: Warehouse, needed: Callable[[], bool] = lambda: True) -> None:
        """It closes the warehouse. The table is not read while it is not `needed`: a shop may have no experiment."""
        self._warehouse, self._needed = warehouse, needed
        self._stopped: frozenset[tuple[str, str]] = frozenset()
        problem = "stopped variants of experiments could not be read"
        self._thread = PeriodicThread("experiment-stops", self.refresh, problem)

    def __call__(self, experiment: str, variant: str) -> bool:
        """True if this variant is stopped."""
        return (experiment, variant) in self._stopped

    def refresh(self) -> None:
        """Raises WarehouseFault."""
        if self._needed():
            self._read()

    def _read(self) -> None:
        self._stopped = frozenset((one.experiment, one.variant) for one in stops_of(changes(self._warehouse)))

    def start(self) -> None:
        """Returns once the stops of now are known. Raises WarehouseFault."""
        self._read()
        self._thread.start(POLL_SECONDS)

    def close(self) -> None:
        self._thread.close()
        self._warehouse.close()


def _change(experiment: str, variant: str, milliseconds: Any, is_stopped: Any, reason: str) -> Change:
    at = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
    return Change(experiment, variant, at, bool(is_stopped), reason)


def _insert(warehouse: Warehouse, change: Change) -> None:
    row = msgspec.structs.asdict(change) | {"at": time_text(change.at)}
    warehouse.insert(TABLE, msgspec.json.encode(row) + b"\n")
