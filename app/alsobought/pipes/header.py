"""The header of a pipe: the comment on top that is both its documentation and its signature.

    -- Products bought in the same basket as this one, best first.
    --
    -- :item_id   String                the product on the page; repeat it to ask for several at once
    -- :limit     UInt16 = 10 (1..100)  how many for each
    -- :category  String?               only products of this category
    --
    -- @key item_id            one answer for several values; the parameter takes any number of them
    -- @cache 60s item_id      an answer may be this old, unless an event touches the item
    -- @fallback trending  item_id as other_item_id

What one of these lines may say: `pipes.declaration`. A text that follows a parameter's line continues its description.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from alsobought.errors import PipeFault
from alsobought.pipes.declaration import declared
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.types import shown_plain

MAX_PARAMETERS = 50
MAX_FAULTS = 20  # of one header that are told
TAGS = ("key", "cache", "fallback")
TOUCHED = ("item_id", "user_id")  # what an event is about


@dataclass(frozen=True)
class Fallback:
    """The pipe that fills the list when this one has too few rows, and which of its columns get another name here."""

    pipe: str
    renamed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """`lines` tells where each ":parameter" and "@tag" stands."""

    prose: str
    parameters: tuple[Parameter, ...] = ()
    key: str = ""
    cache_seconds: float = 0.0
    cache_until: str = ""
    fallback: Fallback | None = None
    lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    @property
    def sentence(self) -> str:
        """The first sentence of the prose: what lists show."""
        return re.split(r"(?<=[.!?]) ", self.prose, maxsplit=1)[0]


class _Reading:
    """A header while its lines are read: what was found, and every fault."""

    def __init__(self) -> None:
        self.prose: list[str] = []
        self.parameters: dict[str, Parameter] = {}
        self.tags: dict[str, tuple[str, int]] = {}
        self.lines: dict[str, int] = {}
        self.faults: list[PipeFault] = []
        self._latest = ""

    def line(self, content: str, number: int) -> None:
        try:
            if content.startswith(":"):
                self._latest = ""
                self._parameter(content, number)
            elif content.startswith("@"):
                self._latest = ""
                self._tag(content, number)
            elif content and self._latest:
                known = self.parameters[self._latest]
                self.parameters[self._latest] = replace(known, description=f"{known.description} {content}")
            else:
                self._latest = ""
                if not self.lines:
                    self.prose.append(content)
        except PipeFault as fault:
            self.faults.append(fault)

    def _parameter(self, content: str, number: int) -> None:
        name = re.match(r":(\w*)", content)
        self.lines.setdefault(name[0] if name else ":", number)
        if len(self.parameters) == MAX_PARAMETERS:
            raise PipeFault(f"more than {MAX_PARAMETERS} parameters", "Make two pipes of it", number)
        parameter = declared(content, number)
        if parameter.name in self.parameters:
            raise PipeFault(f":{parameter.name} stands twice", "Take one of the lines out", number)
        self.parameters[parameter.name] = parameter
        self._latest = parameter.name

    def _tag(self, content: str, number: int) -> None:
        tag, _, rest = content[1:].partition(" ")
        if tag not in TAGS:
            raise PipeFault(f"@{shown_plain(tag)} is not known", "There are @key, @cache and @fallback", number)
        self.lines.setdefault(f"@{tag}", number)
        if tag in self.tags:
            raise PipeFault(f"@{tag} stands twice", "Take one of the lines out", number)
        self.tags[tag] = (rest.strip(), number)


def read_header(text: str) -> Header:
    """The header of a pipe's text.

    Raises PipeFault with the line that cannot be read, and `others` for further lines.
    """
    reading = _Reading()
    for number, line in enumerate(_comment(text), start=1):
        reading.line(line.strip(), number)
        if len(reading.faults) == MAX_FAULTS:
            break
    told = " ".join(" ".join(reading.prose).split())
    if not told:
        missing = "the first line should say in a comment what the pipe answers"
        reading.faults.insert(0, PipeFault(missing, "-- Products … best first.", 1))
    if reading.faults:
        raise PipeFault.together(reading.faults)
    return _tagged(told, reading)


def _comment(text: str) -> list[str]:
    """The lines of the comment on top, without their dashes."""
    lines = []
    for line in text.split("\n"):
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--"))
    return lines


def _tagged(prose: str, reading: _Reading) -> Header:
    parameters, tags = reading.parameters, reading.tags
    key, key_line = tags.get("key", ("", 0))
    if key_line:
        name = key.split()[0] if key else ""
        if name not in parameters:
            raise PipeFault(f"@key {name} is not a parameter", f"There are {', '.join(parameters)}", key_line)
        if parameters[name].optional:
            raise PipeFault(f"@key {name} may be left out", "Take the ? away: rows are told apart by it", key_line)
        parameters[name] = _repeated(parameters[name])
        key = name
    cache, cache_line = tags.get("cache", ("", 0))
    seconds = re.match(r"(\d+(?:\.\d+)?)(ms|s)\b *(\w*)", cache)
    if cache_line and not (seconds and len(seconds[1]) < 9):
        raise PipeFault(f"@cache {cache[:40]} is not a time", "Write 500ms or 2s", cache_line)
    if seconds and seconds[3] and (seconds[3] not in TOUCHED or seconds[3] not in parameters):
        raise PipeFault(
            f"@cache … {seconds[3]}", f"A parameter that is an {' or '.join(TOUCHED)} can follow", cache_line
        )
    fallback, fallback_line = tags.get("fallback", ("", 0))
    return Header(
        prose,
        tuple(_by_repeating(parameter) for parameter in parameters.values()),
        key,
        float(seconds[1]) / (1000 if seconds[2] == "ms" else 1) if seconds else 0.0,
        seconds[3] if seconds else "",
        _fallback(fallback, fallback_line) if fallback_line else None,
        reading.lines,
    )


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
