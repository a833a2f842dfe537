"""The parameters of a pipe, and the values of a request checked against them.

ClickHouse wraps 70000 into a UInt16 without a word, so that every range is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

from alsobought.errors import BadParameters, Detail
from alsobought.pipes.types import INTEGERS, MAX_LENGTH, limits, pattern, read, said, shown, shown_plain

__all__ = ["INTEGERS", "MAX_LENGTH", "MAX_VALUES", "Parameter", "values"]

MAX_VALUES = 1000  # values of a repeated parameter
MAX_UNKNOWN = 20  # names that are told of, if none of them is a parameter
COMMA = re.compile(r"(?<!\\),")


@dataclass(frozen=True)
class Parameter:
    """One line of a header. `default` is None where nothing is assumed.

    A `repeated` one takes several values, and its default is a tuple. `separated`: they may also come as one text with
    commas between them. Range, lengths (in characters), pattern and choices hold for each value. `former_names`: what
    requests called it before (`@deprecated`).
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

    @property
    def required(self) -> bool:
        return not self.optional and self.default is None

    @property
    def sql_type(self) -> str:
        inner = "DateTime64(3, 'UTC')" if self.type == "DateTime" else self.type
        return f"Array({inner})" if self.repeated else inner

    @property
    def assumed(self) -> Any:
        """What is bound where nothing was given: the default, as the engine takes it."""
        return list(self.default) if isinstance(self.default, tuple) else self.default

    def read(self, text: Any) -> Any:
        """One value, from a query string or JSON.

        Raises ValueError with what would have worked.
        """
        value = read(self.type, text, self.bounds())
        self._sized(value)
        if self.pattern and not pattern(self.pattern).fullmatch(value):
            raise ValueError(f"{shown(text)} does not match /{self.pattern}/")
        if self.choices and value not in self.choices:
            near = get_close_matches(value, self.choices, n=1) if isinstance(value, str) else []
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{shown(text)} is not one of {', '.join(map(said, self.choices))}{meant}")
        low, high = self.bounds()
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{shown(text)} is not between {said(low)} and {said(high)}")
        return value

    def _sized(self, value: Any) -> None:
        if self.min_length is None or self.max_length is None or self.min_length <= len(value) <= self.max_length:
            return
        several = f"between {self.min_length} and {self.max_length:,}"
        wanted = f"{self.max_length:,}" if self.min_length == self.max_length else several
        raise ValueError(f"{shown(value)} has {len(value):,} characters; it takes {wanted}")

    def bounds(self) -> tuple[Any, Any]:
        """The smallest and largest value, from the header or else from the type; None where there is no bound."""
        low, high = limits(self.type)
        return (low if self.minimum is None else self.minimum, high if self.maximum is None else self.maximum)

    def sample(self) -> Any:
        """A value to try the text with at load; it need not match a pattern, which the engine never sees."""
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


_SAMPLES: dict[str, Any] = {
    "String": "",
    "Bool": False,
    "Date": date(2020, 1, 1),
    "DateTime": datetime(2020, 1, 1, tzinfo=UTC),
}


class Listed(list[Any]):
    """Values that came as a list of JSON: a comma within one is its own."""


def values(parameters: Sequence[Parameter], given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What a request binds: {name: value}, one entry for every parameter that was given or has a default.

    `given` holds the values of every name, as text or as JSON. Raises BadParameters that tells all faults at once.
    """
    known = [parameter.name for parameter in parameters]
    former = {name for parameter in parameters for name in parameter.former_names}
    unknown = [name for name in given if name not in known and name not in former]
    faults = [Detail(shown_plain(name), _unknown(name, known)) for name in unknown[:MAX_UNKNOWN]]
    bound: dict[str, Any] = {}
    for parameter in parameters:
        name = parameter.name
        try:
            name = _given_name(parameter, given)
            value = _bind(parameter, given.get(name, ()))
        except ValueError as error:
            faults.append(Detail(name, str(error)))
        else:
            if value is not None:
                bound[parameter.name] = value
    if faults:
        raise BadParameters("; ".join(f"{fault.param}: {fault.problem}" for fault in faults), details=tuple(faults))
    return bound


def _given_name(parameter: Parameter, given: Mapping[str, Sequence[Any]]) -> str:
    """The name under which a request gives a parameter. Raises ValueError where it gives several."""
    names = [name for name in (parameter.name, *parameter.former_names) if given.get(name)]
    if len(names) > 1:
        raise ValueError(f"given also as {names[1]}, its former name; give one of them")
    return names[0] if names else parameter.name


def _bind(parameter: Parameter, texts: Sequence[Any]) -> Any:
    if not texts:
        if parameter.required:
            raise ValueError(f"missing; {parameter.description}")
        return parameter.assumed
    if parameter.repeated:
        return [parameter.read(text) for text in _several(parameter, texts)]
    if len(texts) > 1:
        raise ValueError(f"given {len(texts)} times; once is what it takes")
    return parameter.read(texts[0])


def _several(parameter: Parameter, texts: Sequence[Any]) -> Sequence[Any]:
    """The values, one text with commas taken apart; `\\,` is a comma within a value."""
    number = len(texts)
    split = parameter.separated and number == 1 and isinstance(texts[0], str) and not isinstance(texts, Listed)
    if split:
        number = texts[0].count(",") - texts[0].count("\\,") + 1
    if number > MAX_VALUES:
        raise ValueError(f"{number} values; at most {MAX_VALUES}")
    return [text.replace("\\,", ",") for text in COMMA.split(texts[0])] if split else texts


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(shown_plain(name), known, n=1)
    if near:
        return f"not a parameter of this pipe; did you mean {near[0]}?"
    return f"not a parameter of this pipe; it takes {', '.join(known) or 'none'}"
