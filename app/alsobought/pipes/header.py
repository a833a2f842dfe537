"""Parse the header of a pipe: the comment at the top, which is its documentation and its signature.

    -- Products bought in the same basket as this one, best first.
    --
    -- :item_id  String                the product on the page; repeat it to ask for several at once
    -- :limit    UInt16 = 10 (1..100)  rows for each item
    -- @use filters                    the parameters of sql/parameters/filters.sql
    --
    -- @key item_id            one answer for several values; the parameter takes any number of them
    -- @together item_id       instead of a key: the values of a request are one, and requests share queries
    -- @cache 60s item_id      maximum age of an answer; an event of the item invalidates it,
    --                         with `item_id purchase` only a purchase of it; without a parameter any event
    -- @fallback trending  item_id as other_item_id
    -- @deprecated basket 2026-01-31  use item_id
    -- @private                also without a parameter or column that names a user; @public: in spite of one

`pipes.declaration` has the grammar of a parameter. A line of text below a parameter continues its
description.
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

__all__ = ["CACHE_TAGS", "MAX_PARAMETERS", "Deprecation", "Fallback", "Header", "read_header"]

CACHE_TAGS = ("item_id", "user_id")  # ids in events, which invalidate cached answers


@dataclass(frozen=True)
class Fallback:
    """The pipe that fills the list if this one has too few rows; `renamed`: {its column: column of this pipe}."""

    pipe: str
    renamed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """`parameters` include those of the `groups` it uses; `lines` has the line of each ":parameter" and "@directive".

    `key` and `together` are the parameters by which requests share queries; a pipe has at most one of them. `audience` is
    "private", "public", or empty if the parameters and columns decide.
    """

    prose: str
    parameters: tuple[Parameter, ...] = ()
    key: str = ""
    together: str = ""
    cache_seconds: float = 0.0
    cache_until: str = ""
    cache_events: tuple[str, ...] = ()
    fallback: Fallback | None = None
    groups: tuple[str, ...] = ()
    deprecated: tuple[Deprecation, ...] = ()
    audience: str = ""
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def sentence(self) -> str:
        """The first sentence of the prose, for lists of pipes."""
        return re.split(r"(?<=[.!?]) ", self.prose, maxsplit=1)[0]

    @property
    def moved(self) -> tuple[Deprecation, ...]:
        """The deprecated parameters that another pipe answers."""
        return tuple(deprecation for deprecation in self.deprecated if deprecation.pipe)


def read_header(text: str, groups: Groups | None = None) -> Header:
    """The header of a pipe's text. `groups`: the parameter groups for `@use`.

    Raises PipeFault for the first line with a fault, and `others` for further ones.
    """
    read = HeaderLines().read(text)
    if not read.sentence:
        missing = "the first line must be a comment that describes what the pipe answers"
        read.faults.insert(0, PipeFault(missing, "-- Products …, best first.", 1))
    parameters = expanded(read, groups or {})
    _check_deprecated(read, [parameter.name for parameter in parameters])
    if read.faults:
        raise PipeFault.together(read.faults)
    return _header(read, parameters)


def _check_deprecated(read: HeaderLines, names: Collection[str]) -> None:
    for deprecation in read.deprecated.values():
        name, current = deprecation.name, deprecation.parameter
        if name in names:
            message = f":{name} is both declared and deprecated"
            read.faults.append(PipeFault(message, "Remove one of the lines", deprecation.line))
        elif current and current not in names:
            near = get_close_matches(current, names, n=1)
            hint = f"Did you mean {near[0]}?" if near else "Write `use pipe NAME` if another pipe answers it"
            message = f"@deprecated {name}: {current} is not a parameter"
            read.faults.append(PipeFault(message, hint, deprecation.line))


def _header(read: HeaderLines, declared: Sequence[Parameter]) -> Header:
    parameters = {parameter.name: _with_former_names(parameter, read) for parameter in declared}
    directives = read.directives
    key = _key(directives["key"], parameters) if "key" in directives else ""
    together = _together(directives["together"], parameters) if "together" in directives else ""
    if key:
        parameters[key] = _repeated(parameters[key])
        if together:
            raise PipeFault("@key and @together exclude each other", line=directives["together"].line)
    seconds, until, events = _cache(directives["cache"], parameters) if "cache" in directives else (0.0, "", ())
    return Header(
        read.sentence,
        tuple(_without_commas(parameter) for parameter in parameters.values()),
        key,
        together,
        cache_seconds=seconds,
        cache_until=until,
        cache_events=events,
        fallback=_fallback(directives["fallback"]) if "fallback" in directives else None,
        groups=tuple(use.group for use in read.uses),
        deprecated=tuple(read.deprecated.values()),
        audience=_audience(directives),
        lines=read.lines,
    )


def _named_parameter(tag: str, directive: Directive, parameters: Mapping[str, Parameter]) -> str:
    name = directive.text.split()[0] if directive.text else ""
    if name not in parameters:
        raise PipeFault(f"@{tag} {name} is not a parameter", f"There are {', '.join(parameters)}", directive.line)
    return name


def _key(directive: Directive, parameters: Mapping[str, Parameter]) -> str:
    name = _named_parameter("key", directive, parameters)
    if parameters[name].optional:
        raise PipeFault(f"@key {name} is optional", "Remove the ?: each row belongs to a value of it", directive.line)
    return name


def _together(directive: Directive, parameters: Mapping[str, Parameter]) -> str:
    name = _named_parameter("together", directive, parameters)
    if parameters[name].sql_type != "Array(String)" or not parameters[name].required:
        hint = f"Declare it as :{name} Array(String)"
        raise PipeFault(f"@together {name} is not a required list of texts", hint, directive.line)
    return name


def _cache(directive: Directive, parameters: Mapping[str, Parameter]) -> tuple[float, str, tuple[str, ...]]:
    """The maximum age in seconds, the parameter whose events invalidate the answer, and their types: all if there are none."""
    duration = re.match(r"(\d+(?:\.\d+)?)(ms|s)\b *(\w*)((?: \w+)*)", directive.text)
    if not duration or len(duration[1]) >= 9:
        raise PipeFault(f"@cache {directive.text[:40]} is not a duration", "Write 500ms or 2s", directive.line)
    tag = duration[3]
    if tag and (tag not in CACHE_TAGS or tag not in parameters):
        hint = f"Only a parameter called {' or '.join(CACHE_TAGS)} can follow"
        raise PipeFault(f"@cache … {tag}: events do not invalidate by {tag}", hint, directive.line)
    return float(duration[1]) / (1000 if duration[2] == "ms" else 1), tag, tuple(duration[4].split())


def _audience(directives: Mapping[str, Directive]) -> str:
    declared = [name for name in ("private", "public") if name in directives]
    if len(declared) > 1:
        raise PipeFault("@private and @public exclude each other", "Remove one of the lines", directives["public"].line)
    return declared[0] if declared else ""


def _with_former_names(parameter: Parameter, read: HeaderLines) -> Parameter:
    names = tuple(old.name for old in read.deprecated.values() if old.parameter == parameter.name)
    return replace(parameter, former_names=names) if names else parameter


def _without_commas(parameter: Parameter) -> Parameter:
    """Ids may contain commas, so several ids are only given by repeating the parameter."""
    return replace(parameter, separated=False) if parameter.name in CACHE_TAGS else parameter


def _repeated(parameter: Parameter) -> Parameter:
    """The parameter of a key takes several values, which are ids."""
    default = parameter.default
    values = default if default is None or isinstance(default, tuple) else (default,)
    return replace(parameter, repeated=True, separated=False, default=values)


def _fallback(directive: Directive) -> Fallback:
    pipe, _, renames = directive.text.partition(" ")
    renamed = {}
    for part in filter(None, (part.strip() for part in renames.split(","))):
        if not (names := re.fullmatch(r"(\w+) as (\w+)", part)):
            raise PipeFault(f"@fallback: {part!r} is not `column as column`", line=directive.line)
        renamed[names[1]] = names[2]
    if not pipe.isidentifier():
        message = "@fallback names the pipe that fills the list if this one has too few rows"
        raise PipeFault(message, line=directive.line)
    return Fallback(pipe, renamed)
