"""What an evaluation found: of every pipe and baseline its measures with intervals, and its distance from the first baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np

from alsobought.evaluation.bootstrap import RESAMPLES, Bootstrap, Difference, Interval, difference, interval
from alsobought.evaluation.measures import MEASURES, Floats, OfLists, of_lists, of_questions
from alsobought.evaluation.replay import Replayed
from alsobought.evaluation.tasks import Query


class Said(msgspec.Struct, frozen=True):
    """What a pipe or a baseline recommended, a list for each question. `seconds` of single answers of a pipe.

    `filled`: of how many lists another pipe gave some; `took`: seconds for all of it, learning included.
    """

    name: str
    pipe: bool
    lists: Sequence[Sequence[str]]
    seconds: Sequence[float]
    filled: int
    took: float


class System(msgspec.Struct, frozen=True):
    """One row of the table. Milliseconds are None for a baseline, `against` for the one that others are held against."""

    name: str
    pipe: bool
    measures: dict[str, Interval]
    against: dict[str, Difference] | None
    lists: OfLists
    filled: float
    p50_milliseconds: float | None
    p99_milliseconds: float | None
    seconds: float


class Report(msgspec.Struct, frozen=True):
    """`people` ask the `questions`; `learnt`: what was learnt for the pipes.

    `against` is the baseline whose distance each row tells."""

    data: str
    task: str
    train_before: datetime
    days: int
    at: int
    questions: int
    people: int
    seed: int
    resamples: int
    parameters: Mapping[str, Sequence[str]]
    learnt: Mapping[str, str]
    against: str
    systems: list[System]


def systems(
    said: Sequence[Said], queries: Sequence[Query], replay: Replayed, k: int, seed: int, against: str
) -> list[System]:
    """The rows, in the order of what was said."""
    bootstrap = Bootstrap([query.user for query in queries], seed, RESAMPLES)
    numbers = {one.name: _numbers(one, queries, k, bootstrap) for one in said}
    buyers, everyone = _buyers(replay)
    made = []
    for one in said:
        values, means = numbers[one.name]
        differs = None
        if one.name != against and against in numbers:
            other = numbers[against]
            differs = {
                name: difference((values[:, at], means[:, at]), (other[0][:, at], other[1][:, at]))
                for at, name in enumerate(MEASURES)
            }
        p50, p99 = _milliseconds(one.seconds)
        made.append(
            System(
                one.name,
                one.pipe,
                {name: interval(values[:, at], means[:, at]) for at, name in enumerate(MEASURES)},
                differs,
                of_lists(one.lists, k, buyers, everyone, replay.category),
                one.filled / len(queries),
                p50,
                p99,
                one.took,
            )
        )
    return made


def _numbers(one: Said, queries: Sequence[Query], k: int, bootstrap: Bootstrap) -> tuple[Floats, Floats]:
    values = of_questions(one.lists, queries, k)
    return values, bootstrap.means(values)


def _buyers(replay: Replayed) -> tuple[dict[str, int], int]:
    """Of each item sold before the split how many bought it, and how many bought anything."""
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
