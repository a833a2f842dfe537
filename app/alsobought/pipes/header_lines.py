"""Read the comment on top of a pipe, or of a parameter group, line by line: prose, `:parameters` and `@directives`.

Every fault is collected, so that one look shows all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date

from alsobought.errors import PipeFault
from alsobought.pipes.declaration import declared
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.types import shown_plain

MAX_PARAMETERS = 50
MAX_FAULTS = 20  # reported of one header
DIRECTIVES = ("key", "cache", "fallback", "use", "deprecated")
REPEATED = ("use", "deprecated")  # may stand on several lines
DEPRECATED = re.compile(r"(?P<name>[a-z][a-z0-9_]*) +(?P<since>\S+) +use +(?P<pipe>pipe +)?(?P<target>\w+)")
DEPRECATED_SHAPE = (
    "Write `@deprecated old_name 2026-01-31  use new_name`, or `use pipe NAME` where another pipe answers it"
)


@dataclass(frozen=True)
class Directive:
    """What follows `@name` on a line."""

    text: str
    line: int


@dataclass(frozen=True)
class Use:
    """`@use filters`: the parameters of that group, in front of the parameter number `position` of the header's own."""

    group: str
    position: int
    line: int


@dataclass(frozen=True)
class Deprecation:
    """A parameter that requests may still give since it became `parameter`, or since `pipe` answers in its place."""

    name: str
    since: date
    parameter: str = ""
    pipe: str = ""
    line: int = 0

    @property
    def sentence(self) -> str:
        return f"deprecated since {self.since}: use {f'the pipe {self.pipe}' if self.pipe else self.parameter}"


class HeaderLines:
    """What the lines read so far hold. `lines` has the line of each ":parameter" and "@directive"."""

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

    def _directive(self, content: str, number: int) -> None:
        name, _, rest = content[1:].partition(" ")
        if name not in self._allowed:
            known = " and ".join(", ".join(f"@{one}" for one in self._allowed).rsplit(", ", 1))
            raise PipeFault(f"@{shown_plain(name)} is not known", f"There are {known}", number)
        self.lines.setdefault(f"@{name}", number)
        if name == "use":
            self._use(rest.strip(), number)
        elif name == "deprecated":
            self._deprecated(rest.strip(), number)
        elif name in self.directives:
            raise PipeFault(f"@{name} stands twice", "Take one of the lines out", number)
        else:
            self.directives[name] = Directive(rest.strip(), number)

    def _use(self, group: str, number: int) -> None:
        if not group.isidentifier():
            raise PipeFault("@use names one group of parameters", "Write `@use filters`, a line for each", number)
        if any(use.group == group for use in self.uses):
            raise PipeFault(f"@use {group} stands twice", "Take one of the lines out", number)
        self.uses.append(Use(group, len(self.parameters), number))

    def _deprecated(self, text: str, number: int) -> None:
        found = DEPRECATED.fullmatch(text)
        if not found:
            raise PipeFault(f"@deprecated {shown_plain(text)} cannot be read", DEPRECATED_SHAPE, number)
        name, target = found["name"], found["target"]
        try:
            since = date.fromisoformat(found["since"])
        except ValueError:
            raise PipeFault(
                f"@deprecated {name}: {shown_plain(found['since'])} is not a date", DEPRECATED_SHAPE, number
            ) from None
        if name in self.deprecated:
            raise PipeFault(f"@deprecated {name} stands twice", "Take one of the lines out", number)
        moved = bool(found["pipe"])
        self.deprecated[name] = Deprecation(name, since, "" if moved else target, target if moved else "", number)


def comment_lines(text: str) -> list[str]:
    """The lines of the comment on top, without their dashes."""
    lines = []
    for line in text.split("\n"):
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--"))
    return lines
