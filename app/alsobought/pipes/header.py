"""The header of a pipe: the comment on top that is both its documentation and its signature.

    -- Products bought in the same basket as this one, best first.
    --
    -- :item_id  String                the product on the page; repeat it to ask for several at once
    -- :limit    UInt16 = 10 (1..100)  rows for each item
    -- @use filters                    the parameters of sql/parameters/filters.sql
    --
    -- @key item_id            one answer for several values; the parameter takes any number of them
    -- @cache 60s item_id      an answer may be this old, unless an event touches the item
    -- @fallback trending  item_id as other_item_id
    -- @deprecated basket 2026-01-31  use item_id

The grammar of a parameter: `pipes.declaration`. A text that follows a parameter's line continues its description.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from alsobought.errors import PipeFault
from alsobought.pipes.header_lines import MAX_PARAMETERS, Deprecation, Directive, HeaderLines
from alsobought.pipes.parameter_groups import Groups, expanded
from alsobought.pipes.parameters import Parameter

__all__ = ["MAX_PARAMETERS", "TOUCHED", "Deprecation", "Fallback", "Header", "read_header"]

TOUCHED = ("item_id", "user_id")  # what an event is about


@dataclass(frozen=True)
class Fallback:
    """The pipe that fills the list when this one has too few rows, and which of its columns get another name here."""

    pipe: str
    renamed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """`parameters` include those of the `groups` it uses; `lines` has the line of each ":parameter" and "@directive"."""

    prose: str
    parameters: tuple[Parameter, ...] = ()
    key: str = ""
    cache_seconds: float = 0.0
    cache_until: str = ""
    fallback: Fallback | None = None
    groups: tuple[str, ...] = ()
    deprecated: tuple[Deprecation, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def sentence(self) -> str:
        """The first sentence of the prose: what lists show."""
        return re.split(r"(?<=[.!?]) ", self.prose, maxsplit=1)[0]

    @property
    def moved(self) -> tuple[Deprecation, ...]:
        """The parameters that another pipe answers."""
        return tuple(one for one in self.deprecated if one.pipe)


def read_header(text: str, groups: Groups | None = None) -> Header:
    """The header of a pipe's text. `groups`: what `@use` may name.

    Raises PipeFault with the line that cannot be read, and `others` for further lines.
    """
    read = HeaderLines().read(text)
    if not read.sentence:
        missing = "the first line should say in a comment what the pipe answers"
        read.faults.insert(0, PipeFault(missing, "-- Products … best first.", 1))
    parameters = expanded(read, groups or {})
    _check_deprecated(read, [parameter.name for parameter in parameters])
    if read.faults:
        raise PipeFault.together(read.faults)
    return _header(read, parameters)


def _check_deprecated(read: HeaderLines, names: Collection[str]) -> None:
    for one in read.deprecated.values():
        if one.name in names:
            message = f":{one.name} is both declared and deprecated"
            read.faults.append(PipeFault(message, "Take one of the lines out", one.line))
        elif one.parameter and one.parameter not in names:
            near = get_close_matches(one.parameter, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Write `use pipe NAME` where another pipe answers it"
            message = f"@deprecated {one.name}: {one.parameter} is not a parameter"
            read.faults.append(PipeFault(message, hint, one.line))


def _header(read: HeaderLines, listed: Sequence[Parameter]) -> Header:
    parameters = {parameter.name: _with_former_names(parameter, read) for parameter in listed}
    directives = read.directives
    key, key_line = _text(directives, "key")
    if key_line:
        name = key.split()[0] if key else ""
        if name not in parameters:
            raise PipeFault(f"@key {name} is not a parameter", f"There are {', '.join(parameters)}", key_line)
        if parameters[name].optional:
            raise PipeFault(f"@key {name} may be left out", "Take the ? away: rows are told apart by it", key_line)
        parameters[name] = _repeated(parameters[name])
        key = name
    cache, cache_line = _text(directives, "cache")
    seconds = re.match(r"(\d+(?:\.\d+)?)(ms|s)\b *(\w*)", cache)
    if cache_line and not (seconds and len(seconds[1]) < 9):
        raise PipeFault(f"@cache {cache[:40]} is not a time", "Write 500ms or 2s", cache_line)
    if seconds and seconds[3] and (seconds[3] not in TOUCHED or seconds[3] not in parameters):
        raise PipeFault(
            f"@cache … {seconds[3]}", f"A parameter that is an {' or '.join(TOUCHED)} can follow", cache_line
        )
    fallback, fallback_line = _text(directives, "fallback")
    return Header(
        read.sentence,
        tuple(_by_repeating(parameter) for parameter in parameters.values()),
        key,
        float(seconds[1]) / (1000 if seconds[2] == "ms" else 1) if seconds else 0.0,
        seconds[3] if seconds else "",
        _fallback(fallback, fallback_line) if fallback_line else None,
        tuple(use.group for use in read.uses),
        tuple(read.deprecated.values()),
        read.lines,
    )


def _text(directives: Mapping[str, Directive], name: str) -> tuple[str, int]:
    """The text and the line of a directive; "" and 0 where there is none."""
    found = directives.get(name)
    return (found.text, found.line) if found else ("", 0)


def _with_former_names(parameter: Parameter, read: HeaderLines) -> Parameter:
    former = tuple(one.name for one in read.deprecated.values() if one.parameter == parameter.name)
    return replace(parameter, former_names=former) if former else parameter


def _by_repeating(parameter: Parameter) -> Parameter:
    """What events are about is named by ids, which may hold commas: only repeating tells several of them apart."""
    return replace(parameter, separated=False) if parameter.name in TOUCHED else parameter


def _repeated(parameter: Parameter) -> Parameter:
    """The parameter of a key takes several values, and they are ids, too."""
    default = parameter.default
    assumed = default if default is None or isinstance(default, tuple) else (default,)
    return replace(parameter, repeated=True, separated=False, default=assumed)


def _fallback(text: str, line: int) -> Fallback:
    pipe, _, renames = text.partition(" ")
    renamed = {}
    for part in filter(None, (part.strip() for part in renames.split(","))):
        if not (found := re.fullmatch(r"(\w+) as (\w+)", part)):
            raise PipeFault(f"@fallback: {part!r} is not `column as column`", line=line)
        renamed[found[1]] = found[2]
    if not pipe.isidentifier():
        raise PipeFault("@fallback names the pipe that fills the list when this one has too few rows", line=line)
    return Fallback(pipe, renamed)
