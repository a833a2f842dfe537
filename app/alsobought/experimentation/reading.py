"""Read the sums of an experiment: sql/experiments/sums.sql, which runs with the rights of the writer, as all of that folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from alsobought.errors import PipeFault, Unusable
from alsobought.experimentation.sums import NAMES, Sums
from alsobought.pipes.check import check_query
from alsobought.pipes.sandbox import environment
from alsobought.pipes.source_map import extract_source_map, reject_marks
from alsobought.pipes.text_files import read_text
from alsobought.settings import packaged_home
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.experiment import Experiment

EXPOSED, ASKED, CROSSED = "exposed", "asked", ""
COVARIATE_DAYS = 28
LONGEST = timedelta(days=90)  # of an experiment without a first day: as long as requests are kept
Key = tuple[str, str, str]
"""Population, variant and metric."""


@dataclass(frozen=True)
class Daily:
    """The sums up to the end of each of `days`, by population, variant and metric. `begin` is the first day."""

    begin: date
    days: tuple[date, ...] = ()
    sums: Mapping[Key, tuple[Sums, ...]] = field(default_factory=dict)

    def of(self, population: str, variant: str, metric: str) -> tuple[Sums, ...]:
        """As many as there are days."""
        return self.sums.get((population, variant, metric), (Sums(),) * len(self.days))

    def units(self, population: str, variant: str) -> float:
        """The number of units by now; whatever the metric, it is the same."""
        return max((sums[-1].units for (*key, _), sums in self.sums.items() if key == [population, variant]), default=0)


def begin_of(experiment: Experiment, now: datetime) -> datetime:
    """The beginning of the first day that counts."""
    first = max(experiment.since, (now - LONGEST).date())
    return datetime.combine(first, time(), UTC)


def end_of(experiment: Experiment, now: datetime) -> datetime:
    """The end of its last day, or now."""
    if experiment.until >= now.date():
        return now
    return datetime.combine(experiment.until + timedelta(days=1), time(), UTC)


def read_sums(warehouse: Warehouse, home: Path, experiment: Experiment, now: datetime) -> Daily:
    """Raises WarehouseFault, and Unusable if the file has a fault."""
    begin, end = begin_of(experiment, now), end_of(experiment, now)
    if end <= begin:
        return Daily(begin.date())
    parameters = {
        "experiment": experiment.name,
        "begin": int(begin.timestamp()),
        "until": int(end.timestamp()) + 1,
        "covariate_days": COVARIATE_DAYS,
    }
    sql = rendered(warehouse, home, "sums.sql", by_session=experiment.unit == "session")
    added: dict[Key, dict[date, Sums]] = defaultdict(dict)
    for row in warehouse.trusted_rows(sql, parameters).dicts():
        key = (row["population"], row["variant"], row["metric"])
        added[key][date.fromisoformat(row["day"])] = Sums(*(float(row[name]) for name in NAMES))
    days = days_between(begin, end)
    return Daily(begin.date(), days, {key: _up_to(days, by_day) for key, by_day in added.items()})


def _up_to(days: tuple[date, ...], by_day: Mapping[date, Sums]) -> tuple[Sums, ...]:
    so_far, result = Sums(), list[Sums]()
    for day in days:
        so_far += by_day.get(day, Sums())
        result.append(so_far)
    return tuple(result)


def days_between(begin: datetime, end: datetime) -> tuple[date, ...]:
    """The days from the one to the other, both included."""
    return tuple(begin.date() + timedelta(days=number) for number in range((end - begin).days + 1))


def rendered(warehouse: Warehouse, home: Path, file: str, **values: object) -> str:
    """The query of a file of sql/experiments/, with these values besides the database. Raises Unusable if it has a fault."""
    name = f"sql/experiments/{file}"
    own = home / name
    text = read_text(own if own.exists() else packaged_home() / name)  # a project from before experiments
    template = environment(home / "sql" / "macros").from_string(reject_marks(text))
    sql, source_map = extract_source_map(template.render(database=warehouse.database, **values))
    try:
        check_query(sql, warehouse.schema(), source_map, {warehouse.database})
    except PipeFault as fault:
        raise Unusable(f"{name}, line {fault.line}: {fault.message}", fault.hint) from fault
    return sql
