"""The interface of a learner: it reads the warehouse by SQL, computes in its own process, and fills tables of its own.

Learned tables are not count tables: no view fills them, and `check`, `rebuild` and `forget` leave them alone, because
they describe all users together and identify none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import msgspec

from alsobought.learning.context import Context

Value = str | int | float | bool | date | None


@dataclass(frozen=True)
class Option:
    """`--name` of `alsobought learn`, and a keyword of `Learner.learn`.

    `deprecated_name` and the keys of `deprecated_choices` are older names that are still accepted.
    """

    name: str
    type: type[str] | type[int] | type[float] | type[bool] | type[date]
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    minimum: float = 0
    maximum: float | None = None
    deprecated_name: str = ""
    deprecated_choices: Mapping[str, str] = field(default_factory=dict)


class LearningResult(msgspec.Struct, frozen=True, kw_only=True):
    """The number of events, the seq of the newest (`until`), rows by table, and measures of quality.

    `line` is a summary of the quality for users.
    """

    events: int
    rows: dict[str, int]
    quality: dict[str, float] = {}
    line: str = ""
    until: int = 0


class Learner(Protocol):
    """`about` is the sentence that lists show; `example` is a command."""

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

    def learn(self, context: Context, **options: Any) -> LearningResult:
        """Replaces its tables. Raises Unusable if there is too little data; the tables then stay as they were."""
        ...


def default_options(learner: Learner) -> dict[str, Value]:
    return {option.name: option.default for option in learner.options}


def current_options(learner: Learner, options: Mapping[str, Value]) -> dict[str, Value]:
    """The options with deprecated names and values replaced by the current ones."""
    renamed = {option.deprecated_name: option.name for option in learner.options if option.deprecated_name}
    current = {renamed.get(name, name): value for name, value in options.items()}
    for option in learner.options:
        if current.get(option.name) in option.deprecated_choices:
            current[option.name] = option.deprecated_choices[str(current[option.name])]
    return current
