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

`:name Type[?] [= default] [(range or set)]`, two or more spaces, description; a line indented further continues it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from app.errors import PipeFault
from app.pipes.parameters import INTEGERS, TYPES, Parameter

PARAMETER = re.compile(
    r":(?P<name>[a-z][a-z0-9_]*)\s+"
    r"(?P<type>Array\(\w+\)|\w+)(?P<optional>\?)?"
    r"(?:\s*=\s*(?P<default>'[^']*'|[^\s(]+))?"
    r"(?:\s*\((?P<range>[^)]*)\))?"
    r"(?:\s{2,}(?P<description>.*))?"
)

TOUCHED = ("item_id", "user_id")  # what an event is about


@dataclass(frozen=True)
class Fallback:
    """The pipe that answers when this one has no rows, and which of its columns get another name here."""

    pipe: str
    renamed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    prose: str
    parameters: tuple[Parameter, ...] = ()
    key: str = ""
    cache_seconds: float = 0.0
    cache_until: str = ""
    fallback: Fallback | None = None

    @property
    def sentence(self) -> str:
        """The first sentence of the prose: what lists show."""
        return re.split(r"(?<=[.!?]) ", self.prose, maxsplit=1)[0]


def read_header(text: str) -> Header:
    """The header of a pipe's text.

    Raises PipeFault with the line that cannot be read.
    """
    prose: list[str] = []
    parameters: dict[str, Parameter] = {}
    tags: dict[str, tuple[str, int]] = {}
    latest = ""
    for number, line in enumerate(_comment(text), start=1):
        content = line.strip()
        if content.startswith(":"):
            parameter = _parameter(content, number)
            if parameter.name in parameters:
                raise PipeFault(f":{parameter.name} stands twice", line=number)
            parameters[parameter.name] = parameter
            latest = parameter.name
        elif content.startswith("@"):
            tag, _, rest = content[1:].partition(" ")
            if tag not in ("key", "cache", "fallback"):
                raise PipeFault(f"@{tag} is not known", "There are @key, @cache and @fallback", number)
            if tag in tags:
                raise PipeFault(f"@{tag} stands twice", line=number)
            tags[tag] = (rest.strip(), number)
            latest = ""
        elif latest and content and line.startswith("   "):
            known = parameters[latest]
            parameters[latest] = replace(known, description=f"{known.description} {content}")
        else:
            latest = ""
            if not parameters and not tags:
                prose.append(content)
    told = " ".join(" ".join(prose).split())
    if not told:
        raise PipeFault("the first line should say in a comment what the pipe answers", "-- Products … best first.", 1)
    return _tagged(told, parameters, tags)


def _comment(text: str) -> list[str]:
    """The lines of the comment on top, without their dashes."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--"))
    return lines


def _tagged(prose: str, parameters: dict[str, Parameter], tags: dict[str, tuple[str, int]]) -> Header:
    key, key_line = tags.get("key", ("", 0))
    if key_line:
        name = key.split()[0] if key else ""
        if name not in parameters:
            raise PipeFault(f"@key {name} is not a parameter", f"There are {', '.join(parameters)}", key_line)
        if parameters[name].optional:
            raise PipeFault(f"@key {name} may be left out", "Take the ? away: rows are told apart by it", key_line)
        parameters[name] = replace(parameters[name], repeated=True)
        key = name
    cache, cache_line = tags.get("cache", ("", 0))
    seconds = re.match(r"(\d+(?:\.\d+)?)(ms|s)\b *(\w*)", cache)
    if cache_line and not seconds:
        raise PipeFault(f"@cache {cache} is not a time", "Write 500ms or 2s", cache_line)
    if seconds and seconds[3] and (seconds[3] not in TOUCHED or seconds[3] not in parameters):
        raise PipeFault(
            f"@cache … {seconds[3]}", f"A parameter that is an {' or '.join(TOUCHED)} can follow", cache_line
        )
    fallback, fallback_line = tags.get("fallback", ("", 0))
    return Header(
        prose,
        tuple(parameters.values()),
        key,
        float(seconds[1]) / (1000 if seconds[2] == "ms" else 1) if seconds else 0.0,
        seconds[3] if seconds else "",
        _fallback(fallback, fallback_line) if fallback_line else None,
    )


def _fallback(text: str, line: int) -> Fallback:
    pipe, _, renames = text.partition(" ")
    renamed = {}
    for part in filter(None, (part.strip() for part in renames.split(","))):
        if not (found := re.fullmatch(r"(\w+) as (\w+)", part)):
            raise PipeFault(f"@fallback: {part!r} is not `column as column`", line=line)
        renamed[found[1]] = found[2]
    if not pipe.isidentifier():
        raise PipeFault("@fallback names the pipe that answers when this one has no rows", line=line)
    return Fallback(pipe, renamed)


def _parameter(content: str, line: int) -> Parameter:
    found = PARAMETER.fullmatch(content)
    if not found:
        raise PipeFault(f"{content!r} is not a parameter", "Write `:name Type = default (1..100)  description`", line)
    repeated = found["type"].startswith("Array(")
    kind = found["type"][6:-1] if repeated else found["type"]
    if kind not in TYPES:
        raise PipeFault(
            f":{found['name']} has the type {kind}", f"There are {', '.join(TYPES)} and Array of them", line
        )
    if found["name"] == "now":
        raise PipeFault(":now is the clock and always there", "Use {{ now }} without declaring it", line)
    if not found["description"]:
        raise PipeFault(f":{found['name']} needs a description, two spaces after its type", line=line)
    parameter = Parameter(found["name"], kind, found["description"], bool(found["optional"]), repeated)
    try:
        parameter = _ranged(parameter, found["range"])
        if found["default"] is not None:
            parameter = replace(parameter, default=parameter.read(found["default"].strip("'")))
    except ValueError as error:
        raise PipeFault(f":{parameter.name}: {error}", line=line) from error
    return parameter


def _ranged(parameter: Parameter, text: str | None) -> Parameter:
    """`1..100` is a range, `a, b, c` a set of values. A range lies within its type: the engine wraps what does not."""
    if not text:
        return parameter
    low, dots, high = text.partition("..")
    if dots:
        if parameter.type not in ("Float64", *INTEGERS):
            raise ValueError(f"({text}) is a range of numbers, and this is a {parameter.type}")
        minimum, maximum = parameter.read(low.strip()), parameter.read(high.strip())
        if minimum > maximum:
            raise ValueError(f"({text}) holds no number")
        return replace(parameter, minimum=minimum, maximum=maximum)
    return replace(parameter, choices=tuple(parameter.read(choice.strip()) for choice in text.split(",")))
