"""The report of an evaluation: measures with intervals for every system, and differences from the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from alsobought.evaluation.baskets import PURCHASE
from alsobought.evaluation.bootstrap import RESAMPLES, Bootstrap, Difference, Interval, difference, interval
from alsobought.evaluation.cold_start import Slice
from alsobought.evaluation.measures import MEASURES, Floats, ListMeasures, list_measures, query_measures
from alsobought.evaluation.profiles import ProfileMeasures, Profiles, profile_measures
from alsobought.evaluation.replay import Replay
from alsobought.evaluation.tasks import Query

JUDGED = ("recall", "ndcg")
ABOVE, LEVEL, BELOW = "above", "level", "below"


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


class Verdict(msgspec.Struct, frozen=True):
    """How a pipe compares with the baseline that has the highest mean of a measure.

    above, below: the interval of the difference excludes 0; level: it does not.
    """

    best: str
    verdict: str


class System(msgspec.Struct, frozen=True):
    """One row of the report. Milliseconds are None for a baseline, `against` for the baseline of the differences.

    `differences` are those of a pipe from every baseline, by measure; `verdicts` are those of its recall and nDCG.
    """

    name: str
    pipe: bool
    measures: dict[str, Interval]
    against: dict[str, Difference] | None
    lists: ListMeasures
    filled: float
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    seconds: float
    profiles: ProfileMeasures = ProfileMeasures(None, None)
    differences: dict[str, dict[str, Difference]] = {}
    verdicts: dict[str, Verdict] = {}


class Report(msgspec.Struct, frozen=True):
    """`questions` is the number of queries, `users` the number of users who have them.

    `learned` has the summary of each learner, `against` the baseline of the differences. `skipped` has the reason of each baseline
    that could not be trained, `failed` the error of each pipe whose queries failed. `cold` is users, items or "", and `slices` are
    those of it.
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
    event_type: str = PURCHASE
    skipped: Mapping[str, str] = {}
    failed: Mapping[str, str] = {}
    cold: str = ""
    slices: Sequence[Slice] = ()


def system_reports(
    systems: Sequence[SystemLists],
    queries: Sequence[Query],
    replay: Replay,
    k: int,
    seed: int,
    baselines: Sequence[str],
) -> list[System]:
    """The rows of the report, in the order of the systems. The first of the baselines is that of `against`."""
    bootstrap = Bootstrap([query.user for query in queries], seed, RESAMPLES)
    samples: dict[str, tuple[Floats, Floats]] = {}
    for system in systems:
        values = query_measures(system.lists, queries, k)
        samples[system.name] = values, bootstrap.means(values)
    profiles = Profiles(replay.log.past, replay.category)
    rows = []
    for system in systems:
        values, means = samples[system.name]
        from_each = {
            name: _differences(samples[system.name], samples[name])
            for name in baselines
            if name in samples and name != system.name
        }
        evaluated = system.name not in baselines
        p50, p99 = _milliseconds(system.seconds)
        rows.append(
            System(
                system.name,
                system.pipe,
                {name: interval(values[:, column], means[:, column]) for column, name in enumerate(MEASURES)},
                from_each.get(baselines[0]) if baselines else None,
                list_measures(system.lists, k, profiles.users_of_item, profiles.users, replay.category),
                system.filled / len(queries),
                p50,
                p99,
                system.total_seconds,
                profile_measures(system.lists, queries, k, profiles),
                from_each if evaluated else {},
                _verdicts(from_each, samples) if evaluated else {},
            )
        )
    return rows


def _differences(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> dict[str, Difference]:
    return {
        name: difference((one[0][:, column], one[1][:, column]), (other[0][:, column], other[1][:, column]))
        for column, name in enumerate(MEASURES)
    }


def _verdicts(
    from_each: Mapping[str, Mapping[str, Difference]], samples: Mapping[str, tuple[Floats, Floats]]
) -> dict[str, Verdict]:
    verdicts = {}
    for measure in JUDGED if from_each else ():
        column = MEASURES.index(measure)
        best = max(from_each, key=lambda name: samples[name][0][:, column].mean())
        distance = from_each[best][measure]
        verdicts[measure] = Verdict(best, BELOW if distance.high < 0 else ABOVE if distance.low > 0 else LEVEL)
    return verdicts


def _milliseconds(seconds: Sequence[float]) -> tuple[float | None, float | None]:
    if not seconds:
        return None, None
    p50, p99 = np.quantile(np.asarray(seconds), (0.5, 0.99)) * 1000
    return float(p50), float(p99)
