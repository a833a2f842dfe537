"""The parameters of a pipe: their types, and the values of a request checked against them.

ClickHouse wraps 70000 into a UInt16 without a word, so that every range is checked here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any

import msgspec

from app.errors import BadParameters, Detail

INTEGERS = {f"{sign}Int{bits}": (bits, bool(sign)) for sign in ("U", "") for bits in (8, 16, 32, 64)}
TYPES = ("String", *INTEGERS, "Float64", "Bool", "Date", "DateTime")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf", re.ASCII)
MAX_LENGTH = 1000  # characters of a String
MAX_VALUES = 1000  # values of a repeated parameter
MAX_UNKNOWN = 20  # names that are told of, if none of them is a parameter


@dataclass(frozen=True)
class Parameter:
    """One line of a header. `default` is None where nothing is assumed; `repeated` ones take several values."""

    name: str
    type: str
    description: str
    optional: bool = False
    repeated: bool = False
    default: Any = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def required(self) -> bool:
        return not self.optional and self.default is None

    @property
    def sql_type(self) -> str:
        inner = "DateTime64(3, 'UTC')" if self.type == "DateTime" else self.type
        return f"Array({inner})" if self.repeated else inner

    def read(self, text: Any) -> Any:
        """One value, from a query string or JSON.

        Raises ValueError with what would have worked.
        """
        value = _READERS.get(self.type, _integer)(text, self)
        if self.choices and value not in self.choices:
            raise ValueError(f"{_shown(text)} is not one of {', '.join(map(str, self.choices))}")
        low, high = self.bounds()
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{_shown(text)} is not between {_number(low)} and {_number(high)}")
        return value

    def bounds(self) -> tuple[Any, Any]:
        """The smallest and largest value, from the header or else from the type; None where there is no bound."""
        low: float | None = None
        high: float | None = None
        if self.type in INTEGERS:
            bits, unsigned = INTEGERS[self.type]
            low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return (low if self.minimum is None else self.minimum, high if self.maximum is None else self.maximum)

    def sample(self) -> Any:
        """A value to try the text with at load."""
        if self.default is not None:
            return [self.default] if self.repeated else self.default
        value = (
            self.choices[0]
            if self.choices
            else self.minimum
            if self.minimum is not None
            else _SAMPLES.get(self.type, 0)
        )
        return [value] if self.repeated else value


_SAMPLES: dict[str, Any] = {
    "String": "",
    "Bool": False,
    "Date": date(2020, 1, 1),
    "DateTime": datetime(2020, 1, 1, tzinfo=UTC),
}


def values(parameters: Sequence[Parameter], given: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What a request binds: {name: value}, one entry for every parameter that was given or has a default.

    `given` holds the values of every name, as text or as JSON. Raises BadParameters that tells all faults at once.
    """
    known = {parameter.name: parameter for parameter in parameters}
    unknown = [name for name in given if name not in known]
    faults = [Detail(_cut(name), _unknown(name, list(known))) for name in unknown[:MAX_UNKNOWN]]
    bound: dict[str, Any] = {}
    for parameter in parameters:
        try:
            value = _bind(parameter, given.get(parameter.name, ()))
        except ValueError as error:
            faults.append(Detail(parameter.name, str(error)))
        else:
            if value is not None:
                bound[parameter.name] = value
    if faults:
        raise BadParameters("; ".join(f"{fault.param}: {fault.problem}" for fault in faults), details=tuple(faults))
    return bound


def _bind(parameter: Parameter, texts: Sequence[Any]) -> Any:
    if not texts:
        if parameter.required:
            raise ValueError(f"missing; {parameter.description}")
        return [parameter.default] if parameter.repeated and parameter.default is not None else parameter.default
    if parameter.repeated:
        if len(texts) > MAX_VALUES:
            raise ValueError(f"{len(texts)} values; at most {MAX_VALUES}")
        return [parameter.read(text) for text in texts]
    if len(texts) > 1:
        raise ValueError(f"given {len(texts)} times; once is what it takes")
    return parameter.read(texts[0])


def _unknown(name: str, known: list[str]) -> str:
    near = get_close_matches(_cut(name), known, n=1)
    if near:
        return f"not a parameter of this pipe; did you mean {near[0]}?"
    return f"not a parameter of this pipe; it takes {', '.join(known) or 'none'}"


def _shown(text: Any) -> str:
    """A value as its sender wrote it: true, not True."""
    if text is None or isinstance(text, (bool, list, dict)):
        return _cut(msgspec.json.encode(text).decode())
    if isinstance(text, int) and abs(text) > 10**60:  # Python refuses to write out the very large ones
        return "a number of so many digits"
    return _cut(repr(text))


def _cut(text: str) -> str:
    """Short enough to be said back, and certain to be Unicode."""
    short = text if len(text) <= 60 else f"{text[:57]}…"
    return short.encode(errors="replace").decode()


def _number(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _string(text: Any, _: Parameter) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{_shown(text)} is not a text")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{len(text):,} characters; at most {MAX_LENGTH:,}")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return text


def _integer(text: Any, parameter: Parameter) -> int:
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if isinstance(text, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", text):
        return int(text)
    low, high = parameter.bounds()
    raise ValueError(f"{_shown(text)} is not a whole number between {_number(low)} and {_number(high)}")


def _float(text: Any, _: Parameter) -> float:
    try:
        if isinstance(text, bool) or not isinstance(text, (int, float, str)):
            raise ValueError
        if isinstance(text, str) and not NUMBER.fullmatch(text):
            raise ValueError  # Python would take 1_000, spaces and the digits of other scripts
        value = float(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{_shown(text)} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{_shown(text)} is not a finite number")
    return value


def _bool(text: Any, _: Parameter) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower())
    if found is None:
        raise ValueError(f"{_shown(text)} is not true or false")
    return found


def _date(text: Any, _: Parameter) -> date:
    try:
        value = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{_shown(text)} is not a date like 2026-01-31") from None
    if not 1970 <= value.year <= 2100:
        raise ValueError(f"{_shown(text)} is not between 1970 and 2100")
    return value


def _datetime(text: Any, _: Parameter) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{_shown(text)} is not a time like 2026-01-31T12:00:00Z") from None
    if not 1970 < value.year <= 2100:
        raise ValueError(f"{_shown(text)} is not between 1971 and 2100")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_READERS: dict[str, Any] = {"String": _string, "Float64": _float, "Bool": _bool, "Date": _date, "DateTime": _datetime}
