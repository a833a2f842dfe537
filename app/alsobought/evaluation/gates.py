"""Quality gates: the minimum measures of a pipe, read from files in tests/quality/:

    pipe: also_bought
    dataset: journey            # as for --dataset; without it, the shop's own events
    train_before: 2017-11-06
    days: 28
    task: also-bought
    set: {limit: 10}            # parameters of the pipe
    floor: {recall: 0.07, ndcg: 0.09}

Set a floor to the lower end of the measured interval: a value below it is then significant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alsobought.demo.datasets.names import DATASETS
from alsobought.errors import Unusable
from alsobought.evaluation.baskets import PURCHASE
from alsobought.evaluation.bootstrap import Interval
from alsobought.evaluation.replay import Progress, open_replay
from alsobought.evaluation.run import Plan, evaluate, resolve_systems
from alsobought.evaluation.sources import open_source
from alsobought.pipes.library import Library
from alsobought.settings import Settings

Share = Annotated[float, Meta(ge=0, le=1)]


class Floor(msgspec.Struct, forbid_unknown_fields=True):
    recall: Share = 0.0
    ndcg: Share = 0.0


class Gate(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a file. `set` has the parameters of the pipe; a list is a repeated parameter."""

    pipe: str
    floor: Floor
    dataset: str | None = None
    train_before: date | None = None
    days: Annotated[int, Meta(ge=1, le=3650)] = 28
    task: Literal["", "next", "next-novel", "window", "also-bought", "also-seen", "session-next"] = ""
    event_type: str = PURCHASE
    set: dict[str, Any] = {}
    at: Annotated[int, Meta(ge=1, le=100)] = 10
    users: Annotated[int, Meta(ge=1)] | None = None
    seed: Annotated[int, Meta(ge=0)] = 1

    @property
    def plan(self) -> Plan:
        before = datetime.combine(self.train_before, time(), UTC) if self.train_before else None
        values = {name: value if isinstance(value, list) else [value] for name, value in self.set.items()}
        parameters = {name: [str(value) for value in repeated] for name, repeated in values.items()}
        return Plan(
            [self.pipe], self.task, before, self.days, self.at, self.users, self.seed, (), parameters, self.event_type
        )

    @property
    def replay_key(self) -> tuple[str | None, date | None, int, str]:
        """Gates with the same key are measured on one replay."""
        return self.dataset, self.train_before, self.days, self.event_type


@dataclass(frozen=True)
class GateResult:
    """The measures of a gate."""

    name: str
    floor: Floor
    task: str
    recall: Interval
    ndcg: Interval

    @property
    def ok(self) -> bool:
        return self.recall.mean >= self.floor.recall and self.ndcg.mean >= self.floor.ndcg


def read_gates(paths: Iterable[Path]) -> dict[str, Gate]:
    """The gates by the names of their files. Raises Unusable for an invalid file."""
    gates = {}
    for path in paths:
        try:
            gate = msgspec.yaml.decode(path.read_bytes(), type=Gate)
            if gate.dataset not in (None, *DATASETS):
                raise ValueError(f"dataset: {gate.dataset!r} is not one of {', '.join(DATASETS)}")
            gates[path.stem] = gate
        except (msgspec.MsgspecError, OSError, ValueError) as error:
            raise Unusable(
                f"cannot read {path}: {error}", "See docs/how-to/evaluate.md for the form of a gate"
            ) from error
    return gates


def measure_gates(settings: Settings, gates: dict[str, Gate], progress: Progress) -> Iterator[GateResult]:
    """Measures every gate, with one replay for all that share it."""
    by_replay: dict[tuple[Any, ...], list[str]] = {}
    for name, gate in gates.items():
        by_replay.setdefault(gate.replay_key, []).append(name)
    for names in by_replay.values():
        yield from _measure(settings, {name: gates[name] for name in names}, progress)


def _measure(settings: Settings, gates: dict[str, Gate], progress: Progress) -> Iterator[GateResult]:
    plans: Sequence[Plan] = [gate.plan for gate in gates.values()]

    def needs_events(library: Library) -> bool:
        return all(resolve_systems(plan, library).pipes for plan in plans)

    with open_source(settings, next(iter(gates.values())).dataset) as source:
        split = source.split(plans[0].train_before, plans[0].days)
        with open_replay(settings, source, split, None, needs_events, progress, plans[0].event_type) as replay:
            for (name, gate), plan in zip(gates.items(), plans, strict=True):
                report = evaluate(plan, replay, source.name, progress).report
                if gate.pipe in report.failed:
                    raise Unusable(f"{name}: the pipe {gate.pipe} failed: {report.failed[gate.pipe]}")
                measures = report.systems[0].measures
                yield GateResult(name, gate.floor, report.task, measures["recall"], measures["ndcg"])
