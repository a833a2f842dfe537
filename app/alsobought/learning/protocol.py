"""What a learner is: it reads the warehouse by SQL, computes in its own process, and fills tables of its own.

What a reader would guess wrong: learnt tables are no count tables. No view fills them, and `check`, `rebuild` and `forget` leave
them as they are: they hold what the shop's people have in common, and nobody's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import msgspec

from alsobought.learning.context import Context

Value = str | int | float | bool | date | None


@dataclass(frozen=True)
class Option:
    """`--name` of `alsobought learn`, and the keyword of `learn`. `kind` is the type of its values, `choices` a set of them."""

    name: str
    kind: type[str] | type[int] | type[float] | type[bool] | type[date]
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    at_least: float = 0
    at_most: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt: of how many events, the newest of them (`until`, its seq), rows by table, and how good that is.

    `quality` has numbers by name, `line` says the same to people, in one line.
    """

    events: int
    rows: dict[str, int]
    quality: dict[str, float] = {}
    line: str = ""
    until: int = 0


class Learner(Protocol):
    """One thing to learn. `about` is the sentence that lists show; `example` a command."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def example(self) -> str: ...
    @property
    def tables(self) -> tuple[str, ...]: ...
    @property
    def options(self) -> tuple[Option, ...]: ...

    def learn(self, context: Context, **options: Any) -> Report:
        """Fills its tables. Raises Unusable where there is nothing to learn of; the tables are as they were then."""
        ...


def defaults(learner: Learner) -> dict[str, Value]:
    return {option.name: option.default for option in learner.options}
