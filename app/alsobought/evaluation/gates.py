"""Gates: what a pipe must at least reach. A file in tests/quality/ says what is measured, and the floors:

    pipe: also_bought
    dataset: journey            # or toyshop; without it, the shop's own events
    train_before: 2017-11-06
    days: 28
    task: also-bought
    set: {limit: 10}            # parameters of the pipe
    floor: {recall: 0.07, ndcg: 0.09}

A floor is best the lower end of the interval that was measured when it was written: what is under it is no bad luck.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alsobought.errors import Unusable
from alsobought.evaluation.bootstrap import Interval
from alsobought.evaluation.replay import Progress, replayed
from alsobought.evaluation.run import Plan, evaluate, systems_of
from alsobought.evaluation.sources import opened
from alsobought.pipes.library import Library
from alsobought.settings import Settings

Share = Annotated[float, Meta(ge=0, le=1)]


class Floor(msgspec.Struct, forbid_unknown_fields=True):
    recall: Share = 0.0
    ndcg: Share = 0.0


class Gate(msgspec.Struct, forbid_unknown_fields=True):
    """One file. `set` is for the parameters of the pipe, a list where one is repeated."""

    pipe: str
    floor: Floor
    dataset: Literal["journey", "toyshop"] | None = None
    train_before: date | None = None
    days: Annotated[int, Meta(ge=1, le=3650)] = 28
    task: Literal["", "next", "next-novel", "window", "also-bought"] = ""
    set: dict[str, Any] = {}
    at: Annotated[int, Meta(ge=1, le=100)] = 10
    users: Annotated[int, Meta(ge=1)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 1

    @property
    def plan(self) -> Plan:
        before = datetime.combine(self.train_before, time(), UTC) if self.train_before else None
        given = {name: value if isinstance(value, list) else [value] for name, value in self.set.items()}
        told = {name: [str(value) for value in values] for name, values in given.items()}
        return Plan([self.pipe], self.task, before, self.days, self.at, self.users, self.seed, (), told)

    @property
    def replay(self) -> tuple[str | None, date | None, int]:
        """What must be replayed for it: gates of one replay are measured on it one after the other."""
        return self.dataset, self.train_before, self.days


@dataclass(frozen=True)
class Passed:
    """A gate with what was measured."""

    name: str
    floor: Floor
    task: str
    recall: Interval
    ndcg: Interval

    @property
    def ok(self) -> bool:
        return self.recall.mean >= self.floor.recall and self.ndcg.mean >= self.floor.ndcg


def read_gates(paths: Iterable[Path]) -> dict[str, Gate]:
    """{name of the file: what it says}. Raises Unusable."""
    found = {}
    for path in paths:
        try:
            found[path.stem] = msgspec.yaml.decode(path.read_bytes(), type=Gate)
        except (msgspec.MsgspecError, OSError, ValueError) as error:
            raise Unusable(
                f"{path} cannot be read: {error}", "See docs/how-to/evaluate.md for the shape of a gate"
            ) from error
    return found


def measured(settings: Settings, gates: dict[str, Gate], progress: Progress) -> Iterator[Passed]:
    """Each gate with what its pipe reaches now; one replay for all that need the same."""
    by_replay: dict[tuple[Any, ...], list[str]] = {}
    for name, gate in gates.items():
        by_replay.setdefault(gate.replay, []).append(name)
    for names in by_replay.values():
        yield from _measured(settings, {name: gates[name] for name in names}, progress)


def _measured(settings: Settings, gates: dict[str, Gate], progress: Progress) -> Iterator[Passed]:
    plans: Sequence[Plan] = [gate.plan for gate in gates.values()]

    def asks(library: Library) -> bool:
        return all(systems_of(plan, library).pipes for plan in plans)

    with opened(settings, next(iter(gates.values())).dataset) as source:
        split = source.split(plans[0].train_before, plans[0].days)
        with replayed(settings, source, split, None, asks, progress) as replay:
            for (name, gate), plan in zip(gates.items(), plans, strict=True):
                report = evaluate(plan, replay, source.name, progress).report
                found = report.systems[0].measures
                yield Passed(name, gate.floor, report.task, found["recall"], found["ndcg"])
