"""Parameter groups: `@use filters` in a header stands for the parameters that sql/parameters/filters.sql declares.

    -- Which items may appear.
    --
    -- :exclude   Array(String)?  excluded items; repeat it
    -- :category  String?         only this category and those below it

A group consists of parameters and `@deprecated` lines. A parameter in the header overrides one of
the same name in a group. In the template the name of the group stands for all of its parameters:
`{{ is_eligible("item_key", **filters) }}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from alsobought.errors import PipeFault
from alsobought.pipes.header_lines import MAX_PARAMETERS, Deprecation, HeaderLines, Use, comment_lines
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.text_files import list_files, read_text

FOLDER = "parameters"  # beside the folder of macros


@dataclass(frozen=True)
class ParameterGroup:
    name: str
    text: str
    parameters: tuple[Parameter, ...]
    deprecated: tuple[Deprecation, ...] = ()


Groups = Mapping[str, ParameterGroup | PipeFault]
"""{name: the group, or the fault of its file}"""


def group_files(macros: Path) -> list[Path]:
    """The files of the groups that belong to a folder of macros."""
    return list_files(macros.parent / FOLDER)


def read_groups(paths: list[Path]) -> Groups:
    groups: dict[str, ParameterGroup | PipeFault] = {}
    for path in paths:
        try:
            groups[path.stem] = read_group(path.stem, read_text(path))
        except PipeFault as fault:
            groups[path.stem] = fault
        except (UnicodeError, OSError):
            groups[path.stem] = PipeFault("not UTF-8 text", "Save it as UTF-8")
    return groups


def read_group(name: str, text: str) -> ParameterGroup:
    """Raises PipeFault with the line of the file, and `others` for further lines."""
    read = HeaderLines(("deprecated",)).read(text)
    comment = comment_lines(text)
    if any(line.strip() for line in text.split("\n")[len(comment) :]):
        read.faults.append(
            PipeFault("a parameter group must not contain SQL", "Start each line with --", len(comment) + 1)
        )
    if not read.parameters and not read.faults:
        read.faults.append(PipeFault("a parameter group needs a parameter", "-- :name String?  its description", 1))
    if read.faults:
        raise PipeFault.together(read.faults)
    return ParameterGroup(name, text, tuple(read.parameters.values()), tuple(read.deprecated.values()))


def expanded(read: HeaderLines, groups: Groups) -> list[Parameter]:
    """The parameters of a header in its order, with those of a group in place of its `@use`.

    Adds the deprecations of the groups to `read`, and faults: an unknown group, a group with a
    fault, and a name in two groups.
    """
    own = list(read.parameters.values())
    group_of: dict[str, str] = {}
    parameters: list[Parameter] = []
    for position in range(len(own) + 1):
        for use in (use for use in read.uses if use.position == position):
            try:
                parameters += _of_group(use, _group(use, groups), read, group_of)
            except PipeFault as fault:
                read.faults.append(fault)
        parameters += own[position : position + 1]
    named = {name: use.group for use in read.uses for name in _names(groups.get(use.group))}
    parameters = [replace(parameter, group=named.get(parameter.name, "")) for parameter in parameters]
    if len(parameters) > MAX_PARAMETERS and not read.faults:
        line = read.uses[-1].line
        read.faults.append(PipeFault(f"more than {MAX_PARAMETERS} parameters", "Split it into two pipes", line))
    return parameters


def _names(group: ParameterGroup | PipeFault | None) -> list[str]:
    return [parameter.name for parameter in group.parameters] if isinstance(group, ParameterGroup) else []


def _group(use: Use, groups: Groups) -> ParameterGroup:
    if use.group not in groups:
        near = get_close_matches(use.group, groups, n=1)
        existing = f"There are {', '.join(sorted(groups))}" if groups else f"It would be sql/{FOLDER}/{use.group}.sql"
        hint = f"Did you mean {near[0]}? {existing}" if near else existing
        raise PipeFault(f"@use {use.group}: there is no such group of parameters", hint, use.line)
    group = groups[use.group]
    if isinstance(group, PipeFault):
        location = f"{FOLDER}/{use.group}.sql" + (f", line {group.line}" if group.line else "")
        raise PipeFault(f"{location}: {group.message}", group.hint, use.line)
    return group


def _of_group(use: Use, group: ParameterGroup, read: HeaderLines, group_of: dict[str, str]) -> Iterator[Parameter]:
    for parameter in group.parameters:
        if parameter.name in read.parameters:
            continue
        if parameter.name in group_of:
            message = f":{parameter.name} is in two groups, {group_of[parameter.name]} and {group.name}"
            raise PipeFault(message, f"Declare :{parameter.name} in this header", use.line)
        group_of[parameter.name] = group.name
        read.lines.setdefault(f":{parameter.name}", use.line)
        yield parameter
    for deprecation in group.deprecated:
        read.deprecated.setdefault(deprecation.name, replace(deprecation, line=use.line))
