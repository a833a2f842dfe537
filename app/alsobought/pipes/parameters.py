"""Validate the values of a request against the parameters of a pipe.

ClickHouse silently wraps 70000 into a UInt16, so every range is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

from alsobought.errors import BadParameters, Detail
from alsobought.pipes.types import (
    INTEGERS,
    MAX_LENGTH,
    format_value,
    limits,
    parse_value,
    pattern,
    quote_value,
    shorten,
)

__all__ = [
    "CURSOR",
    "FRESH",
    "INTEGERS",
    "MAX_LENGTH",
    "MAX_UNKNOWN",
    "MAX_VALUES",
    "Parameter",
    "bad_parameters",
    "unknown_name",
    "values",
]

MAX_VALUES = 1000  # values of a repeated parameter
MAX_UNKNOWN = 20  # unknown names in one error
COMMA = re.compile(r"(?<!\\),")


@dataclass(frozen=True)
class Parameter:
    """A declared parameter. `default` is None if there is none.

    A `repeated` parameter takes several values, and its default is a tuple. `separated`: one text
    may contain several values, separated by commas. Range, length (in characters), pattern and
    choices apply to each value. `former_names`: its deprecated names. `group`: that of `@use` which
    declares it, or declares one of its name.
    """

    name: str
    type: str
    description: str
    optional: bool = False
    repeated: bool = False
    separated: bool = False
    default: Any = None
    minimum: Any = None
    maximum: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    choices: tuple[Any, ...] = ()
    former_names: tuple[str, ...] = ()
    group: str = ""

    @property
    def required(self) -> bool:
        return not self.optional and self.default is None

    @property
    def sql_type(self) -> str:
        inner = "DateTime64(3, 'UTC')" if self.type == "DateTime" else self.type
        return f"Array({inner})" if self.repeated else inner

    @property
    def assumed(self) -> Any:
        """The default as the driver binds it."""
        return list(self.default) if isinstance(self.default, tuple) else self.default

    def read(self, text: Any) -> Any:
        """One value, from a query string or JSON.

        Raises ValueError that describes valid values.
        """
        value = parse_value(self.type, text, self.bounds())
        self._check_length(value)
        if self.pattern and not pattern(self.pattern).fullmatch(value):
            raise ValueError(f"{quote_value(text)} does not match /{self.pattern}/")
        if self.choices and value not in self.choices:
            near = get_close_matches(value, self.choices, n=1) if isinstance(value, str) else []
            suggestion = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"{quote_value(text)} is not one of {', '.join(map(format_value, self.choices))}{suggestion}"
            )
        low, high = self.bounds()
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{quote_value(text)} is not between {format_value(low)} and {format_value(high)}")
        return value

    def _check_length(self, value: Any) -> None:
        if self.min_length is None or self.max_length is None or self.min_length <= len(value) <= self.max_length:
            return
        span = f"between {self.min_length} and {self.max_length:,}"
        expected = f"{self.max_length:,}" if self.min_length == self.max_length else span
        raise ValueError(f"{quote_value(value)} has {len(value):,} characters; it takes {expected}")

    def bounds(self) -> tuple[Any, Any]:
        """The smallest and largest value, from the header or the type; None if there is no bound."""
        low, high = limits(self.type)
        return (low if self.minimum is None else self.minimum, high if self.maximum is None else self.maximum)

    def within_type(self, value: int) -> int:
        """A number, or the largest one of the type: a range is for callers, not for what the service asks."""
        largest = limits(self.type)[1]
        return value if largest is None else min(value, int(largest))

    def sample(self) -> Any:
        """A value for validation at load. It may not match the pattern, of which the engine knows nothing."""
        if self.default is not None:
            return self.assumed
        value = _SAMPLES.get(self.type, 0)
        if self.choices:
            value = self.choices[0]
        elif self.minimum is not None:
            value = self.minimum
        elif self.min_length:
            value = "x" * self.min_length
        return [value] if self.repeated else value


FRESH = Parameter("fresh", "Bool", "compute the answer anew, past the cache", default=False)
"""A parameter of every pipe over HTTP, which no header may declare."""

CURSOR = Parameter(
    "cursor",
    "String",
    "`next` of an answer: the page after it",
    optional=True,
    max_length=4000,
    pattern="[A-Za-z0-9_-]*",
)
"""A parameter of every pipe with a `limit`, which no header may declare (`serving.paging`)."""

_SAMPLES: dict[str, Any] = {
    "String": "",
    "Bool": False,
    "Date": date(2020, 1, 1),
    "DateTime": datetime(2020, 1, 1, tzinfo=UTC),
}


class Listed(list[Any]):
    """Values from a JSON list: they are not split at commas."""


def values(parameters: Sequence[Parameter], raw: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The bound values of a request: an entry for every parameter that is given or has a default.

    `raw` has the values of every name, as text or JSON. Raises BadParameters with all faults.
    """
    names = [parameter.name for parameter in parameters]
    former_names = {name for parameter in parameters for name in parameter.former_names}
    unknown = [name for name in raw if name not in names and name not in former_names]
    faults = [Detail(shorten(name), unknown_name(name, names)) for name in unknown[:MAX_UNKNOWN]]
    bound: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.name
        try:
            name = _requested_name(parameter, raw)
            value = _bind(parameter, raw.get(name, ()))
        except ValueError as error:
            faults.append(Detail(name, str(error)))
        else:
            if value is not None:
                bound[parameter.name] = value
    if faults:
        raise bad_parameters(faults)
    return bound


def bad_parameters(faults: Sequence[Detail]) -> BadParameters:
    """All faults as one error."""
    return BadParameters("; ".join(f"{fault.param}: {fault.problem}" for fault in faults), details=tuple(faults))


def _requested_name(parameter: Parameter, raw: Mapping[str, Sequence[Any]]) -> str:
    """The name, current or former, under which a request gives a parameter. Raises ValueError for several."""
    names = [name for name in (parameter.name, *parameter.former_names) if raw.get(name)]
    if len(names) > 1:
        raise ValueError(f"given also as {names[1]}, its former name; give one of them")
    return names[0] if names else parameter.name


def _bind(parameter: Parameter, texts: Sequence[Any]) -> Any:
    if not texts:
        if parameter.required:
            raise ValueError(f"missing; {parameter.description}")
        return parameter.assumed
    if parameter.repeated:
        return [parameter.read(text) for text in _split(parameter, texts)]
    if len(texts) > 1:
        raise ValueError(f"given {len(texts)} times; it takes one value")
    return parameter.read(texts[0])


def _split(parameter: Parameter, texts: Sequence[Any]) -> Sequence[Any]:
    """The values; a single text is split at commas. `\\,` is a comma within a value."""
    number = len(texts)
    is_split = parameter.separated and number == 1 and isinstance(texts[0], str) and not isinstance(texts, Listed)
    if is_split:
        number = texts[0].count(",") - texts[0].count("\\,") + 1
    if number > MAX_VALUES:
        raise ValueError(f"{number} values; at most {MAX_VALUES}")
    return [text.replace("\\,", ",") for text in COMMA.split(texts[0])] if is_split else texts


def unknown_name(name: str, names: Sequence[str], whose: str = "this pipe") -> str:
    """The problem of a parameter that is none of these."""
    near = get_close_matches(shorten(name), names, n=1)
    if near:
        return f"not a parameter of {whose}; did you mean {near[0]}?"
    return f"not a parameter of {whose}; it takes {', '.join(names) or 'none'}"
