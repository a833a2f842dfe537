"""What the generated data sets share: when people come, and how the steps of a visit follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from alsobought.demo.datasets.tastes import Tastes, drawn_topics
from alsobought.events import Event

START = datetime(2025, 9, 1, tzinfo=UTC)
SEED = 20


@dataclass(frozen=True)
class Visit:
    """`user` and `topic` are numbers, `begins` is in days since the start."""

    user: int
    topic: int
    begins: float


def visits_of_day(tastes: Tastes, day: int, a_day: float, random: np.random.Generator) -> Iterator[Visit]:
    """In the order of time, between 7 in the morning and 11 at night. More on weekends."""
    weekend = 1.3 if (START + timedelta(days=day)).weekday() >= 5 else 1.0
    counts = random.poisson(a_day * weekend * tastes.activity)
    users = np.repeat(np.arange(len(counts)), counts)
    begins = np.sort(day + (7 + 16 * random.beta(2.5, 1.6, len(users))) / 24)
    random.shuffle(users)
    for user, topic, begin in zip(users, drawn_topics(tastes.of_users(day), users, random), begins, strict=True):
        yield Visit(int(user), topic, float(begin))


def length(random: np.random.Generator, mean: float) -> int:
    """At least 1, geometric."""
    return int(random.geometric(1 / mean))


def moment(days: float) -> datetime:
    """Whole milliseconds."""
    return START + timedelta(milliseconds=round(days * 86_400_000))


def in_order(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.timestamp)  # type: ignore[arg-type, return-value]
