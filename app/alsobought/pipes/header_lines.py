"""Parse the comment at the top of a pipe or parameter group: prose, `:parameters` and `@directives`.

All faults are collected, so that one run reports them all.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from alsobought.errors import PipeFault
from alsobought.pipes.declaration import parse_declaration
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.types import shorten

MAX_PARAMETERS = 50
MAX_FAULTS = 20  # reported of one header
DIRECTIVES = ("key", "together", "cache", "fallback", "use", "deprecated", "private", "public")
DEPRECATED = re.compile(r"(?P<name>[a-z][a-z0-9_]*) +(?P<since>\S+) +use +(?P<pipe>pipe +)?(?P<target>\w+)")
DEPRECATED_SHAPE = (
    "Write `@deprecated old_name 2026-01-31  use new_name`, or `use pipe NAME` if another pipe answers it"
)


@dataclass(frozen=True)
class Directive:
    """The text after `@name` on a line."""

    text: str
    line: int


@dataclass(frozen=True)
class Use:
    """`@use filters`: the parameters of a group, inserted before parameter number `position` of the header."""

    group: str
    position: int
    line: int


@dataclass(frozen=True)
class Deprecation:
    """A parameter that requests may still give: it was renamed to `parameter`, or moved to `pipe`."""

    name: str
    since: date
    parameter: str = ""
    pipe: str = ""
    line: int = 0

    @property
    def sentence(self) -> str:
        return f"deprecated since {self.since}: use {f'the pipe {self.pipe}' if self.pipe else self.parameter}"


class HeaderLines:
    """The content of the lines read so far. `lines`: the line of each ":parameter" and "@directive"."""

    def __init__(self, directives: Collection[str] = DIRECTIVES) -> None:
        self._allowed = directives
        self.prose: list[str] = []
        self.parameters: dict[str, Parameter] = {}
        self.directives: dict[str, Directive] = {}
        self.uses: list[Use] = []
        self.deprecated: dict[str, Deprecation] = {}
        self.lines: dict[str, int] = {}
        self.faults: list[PipeFault] = []
        self._latest = ""

    @property
    def sentence(self) -> str:
        return " ".join(" ".join(self.prose).split())

    def read(self, text: str) -> HeaderLines:
        for number, line in enumerate(comment_lines(text), start=1):
            self.line(line.strip(), number)
            if len(self.faults) == MAX_FAULTS:
                break
        return self

    def line(self, content: str, number: int) -> None:
        try:
            if content.startswith(":"):
                self._latest = ""
                self._parameter(content, number)
            elif content.startswith("@"):
                self._latest = ""
                self._directive(content, number)
            elif content and self._latest:
                latest = self.parameters[self._latest]
                self.parameters[self._latest] = replace(latest, description=f"{latest.description} {content}")
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
            raise PipeFault(f"more than {MAX_PARAMETERS} parameters", "Split it into two pipes", number)
        parameter = parse_declaration(content, number)
        if parameter.name in self.parameters:
            raise PipeFault(f":{parameter.name} appears twice", "Remove one of the lines", number)
        self.parameters[parameter.name] = parameter
        self._latest = parameter.name

    def _directive(self, content: str, number: int) -> None:
        name, _, rest = content[1:].partition(" ")
        if name not in self._allowed:
            allowed = " and ".join(", ".join(f"@{name}" for name in self._allowed).rsplit(", ", 1))
            raise PipeFault(f"@{shorten(name)} is not a directive here", f"There are {allowed}", number)
        self.lines.setdefault(f"@{name}", number)
        if name == "use":
            self._use(rest.strip(), number)
        elif name == "deprecated":
            self._deprecated(rest.strip(), number)
        elif name in self.directives:
            raise PipeFault(f"@{name} appears twice", "Remove one of the lines", number)
        else:
            self.directives[name] = Directive(rest.strip(), number)

    def _use(self, group: str, number: int) -> None:
        if not group.isidentifier():
            raise PipeFault(
                "@use names one group of parameters", "Write `@use filters`, one line for each group", number
            )
        if any(use.group == group for use in self.uses):
            raise PipeFault(f"@use {group} appears twice", "Remove one of the lines", number)
        self.uses.append(Use(group, len(self.parameters), number))

    def _deprecated(self, text: str, number: int) -> None:
        fields = DEPRECATED.fullmatch(text)
        if not fields:
            raise PipeFault(f"@deprecated {shorten(text)} is incomplete or misspelled", DEPRECATED_SHAPE, number)
        name, target = fields["name"], fields["target"]
        try:
            since = date.fromisoformat(fields["since"])
        except ValueError:
            raise PipeFault(
                f"@deprecated {name}: {shorten(fields['since'])} is not a date", DEPRECATED_SHAPE, number
            ) from None
        if name in self.deprecated:
            raise PipeFault(f"@deprecated {name} appears twice", "Remove one of the lines", number)
        moved = bool(fields["pipe"])
        self.deprecated[name] = Deprecation(name, since, "" if moved else target, target if moved else "", number)


def comment_lines(text: str) -> list[str]:
    """The lines of the comment at the top, without their dashes."""
    lines = []
    for line in text.split("\n"):
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--"))
    return lines
