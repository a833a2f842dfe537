"""The votes of an experiment that interleaves two lists: sql/experiments/interleaved.sql, summed up to each day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path

from alsobought.experimentation.reading import begin_of, days_between, end_of, rendered
from alsobought.experimentation.sums import Additive
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.experiment import INTERLEAVED, Experiment


@dataclass(frozen=True)
class Votes(Additive):
    """`lists` were seen, of which `one_sided` have items of one team only and `unrecorded` are not in `requests`; in `voted` ones
    an item of a team was clicked, put into a cart or bought.

    Of the `units` that decided a list: y is the number of lists that the second variant won, less those of the first; `yy` sums the
    squares of it; z is the number of lists that either won.
    """

    lists: float = 0.0
    one_sided: float = 0.0
    unrecorded: float = 0.0
    voted: float = 0.0
    units: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    z: float = 0.0

    @property
    def won(self) -> tuple[int, int]:
        """The lists that the first and the second variant won."""
        return int((self.z - self.y) / 2), int((self.z + self.y) / 2)


NAMES = tuple(field.name for field in fields(Votes))


@dataclass(frozen=True)
class DailyVotes:
    """The votes up to the end of each of `days`. `begin` is the first day."""

    begin: date
    days: tuple[date, ...] = ()
    votes: tuple[Votes, ...] = ()

    @property
    def newest(self) -> Votes:
        return self.votes[-1] if self.votes else Votes()


def read_votes(
    warehouse: Warehouse, home: Path, experiment: Experiment, now: datetime, attribution_days: int
) -> DailyVotes:
    """Raises WarehouseFault, and Unusable if the file has a fault."""
    begin, end = begin_of(experiment, now), end_of(experiment, now)
    if end <= begin:
        return DailyVotes(begin.date())
    parameters = {
        "experiment": experiment.name,
        "interleaved": INTERLEAVED,
        "first": experiment.variants[0].name,
        "second": experiment.variants[1].name,
        "begin": int(begin.timestamp()),
        "until": int(end.timestamp()) + 1,
        "attribution_days": attribution_days,
    }
    flags = {
        "by_session": experiment.unit == "session",
        "by_clicks": experiment.metric == "clicks",
        "by_carts": experiment.metric == "carts",
    }
    sql = rendered(warehouse, home, "interleaved.sql", **flags)
    rows = warehouse.trusted_rows(sql, parameters).dicts()
    by_day = {date.fromisoformat(row["day"]): Votes(*(float(row[name]) for name in NAMES)) for row in rows}
    days = days_between(begin, end)
    return DailyVotes(begin.date(), days, _up_to(by_day.get(day, Votes()) for day in days))


def _up_to(added: Iterable[Votes]) -> tuple[Votes, ...]:
    so_far, result = Votes(), list[Votes]()
    for votes in added:
        so_far += votes
        result.append(so_far)
    return tuple(result)
