"""The report of an evaluation: measures with intervals for every system, and differences from the first baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from alsobought.evaluation.bootstrap import RESAMPLES, Bootstrap, Difference, Interval, difference, interval
from alsobought.evaluation.measures import MEASURES, Floats, ListMeasures, list_measures, query_measures
from alsobought.evaluation.replay import Replay
from alsobought.evaluation.tasks import Query


class SystemLists(msgspec.Struct, frozen=True):
    """The lists of a pipe or baseline, one per query. `seconds` are those of single queries of a pipe.

    `filled` is the number of lists with rows of another pipe; `total_seconds` includes fitting.
    """

    name: str
    pipe: bool
    lists: Sequence[Sequence[str]]
    seconds: Sequence[float]
    filled: int
    total_seconds: float


class System(msgspec.Struct, frozen=True):
    """One row of the report. Milliseconds are None for a baseline, `against` for the baseline of the differences."""

    name: str
    pipe: bool
    measures: dict[str, Interval]
    against: dict[str, Difference] | None
    lists: ListMeasures
    filled: float
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    seconds: float


class Report(msgspec.Struct, frozen=True):
    """`questions` is the number of queries, `users` the number of users who have them.

    `learned` has the summary of each learner, `against` the baseline of the differences.
    """

    data: str
    task: str
    train_before: datetime
    days: int
    at: int
    questions: int
    users: int
    seed: int
    resamples: int
    parameters: Mapping[str, Sequence[str]]
    learned: Mapping[str, str]
    against: str
    systems: list[System]


def system_reports(
    systems: Sequence[SystemLists], queries: Sequence[Query], replay: Replay, k: int, seed: int, against: str
) -> list[System]:
    """The rows of the report, in the order of the systems."""
    bootstrap = Bootstrap([query.user for query in queries], seed, RESAMPLES)
    samples: dict[str, tuple[Floats, Floats]] = {}
    for system in systems:
        values = query_measures(system.lists, queries, k)
        samples[system.name] = values, bootstrap.means(values)
    buyers, all_buyers = _buyers(replay)
    rows = []
    for system in systems:
        values, means = samples[system.name]
        differences = None
        if system.name != against and against in samples:
            other_values, other_means = samples[against]
            differences = {
                name: difference(
                    (values[:, column], means[:, column]), (other_values[:, column], other_means[:, column])
                )
                for column, name in enumerate(MEASURES)
            }
        p50, p99 = _milliseconds(system.seconds)
        rows.append(
            System(
                system.name,
                system.pipe,
                {name: interval(values[:, column], means[:, column]) for column, name in enumerate(MEASURES)},
                differences,
                list_measures(system.lists, k, buyers, all_buyers, replay.category),
                system.filled / len(queries),
                p50,
                p99,
                system.total_seconds,
            )
        )
    return rows


def _buyers(replay: Replay) -> tuple[dict[str, int], int]:
    """The number of buyers of each item sold before the split, and of all buyers."""
    past = replay.log.past
    pairs = np.unique(past.user * len(past.names.items) + past.item) % max(1, len(past.names.items))
    counts = np.bincount(pairs, minlength=len(past.names.items)).tolist()
    buyers = {name: count for name, count in zip(past.names.items, counts, strict=True) if count}
    return buyers, len(np.unique(past.user))


def _milliseconds(seconds: Sequence[float]) -> tuple[float | None, float | None]:
    if not seconds:
        return None, None
    p50, p99 = np.quantile(np.asarray(seconds), (0.5, 0.99)) * 1000
    return float(p50), float(p99)
