"""Compare the header of a pipe with its validated text and with the other pipes of the folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from difflib import get_close_matches

from alsobought.errors import PipeFault
from alsobought.pipes.header import Deprecation, Header
from alsobought.pipes.validation import Validation

COLUMN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ .]*")
ReadHeader = Callable[[str], Header | None]
"""Returns the header of a pipe; None if it cannot be read."""


def check_header(
    name: str,
    header: Header,
    validation: Validation,
    names: Collection[str],
    read: ReadHeader,
    event_types: Collection[str],
) -> list[PipeFault]:
    """The faults of the header of the pipe `name`. `names`: all pipes, including this one. `event_types`: all, or none if unknown.

    Columns and used parameters are unknown if the text has faults, and are not compared then.
    """
    faults = [] if validation.faults else _compare_with_text(header, validation)
    if header.fallback and header.fallback.pipe not in names:
        near = get_close_matches(header.fallback.pipe, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted({*names} - {name}))}"
        message = f"@fallback {header.fallback.pipe} is not a pipe"
        faults.append(PipeFault(message, hint, header.lines.get("@fallback", 0)))
    if problem := _public_problem(header, names, read):
        faults.append(PipeFault(problem, "Remove @public, or the @fallback", header.lines.get("@public", 0)))
    unknown = [event_type for event_type in header.cache_events if event_type not in event_types]
    if event_types and unknown:
        message = f"@cache … {header.cache_until} {unknown[0]}: no event has this type"
        hint = f"There are {', '.join(event_types)}. Two spaces begin a remark"
        faults.append(PipeFault(message, hint, header.lines.get("@cache", 0)))
    for moved in header.moved:
        if problem := _target_problem(moved, names, read):
            faults.append(PipeFault(f"@deprecated {moved.name}: {problem}", line=moved.line))
    return faults


def _compare_with_text(header: Header, validation: Validation) -> list[PipeFault]:
    """Names of columns, unused parameters, and the column of the key."""
    faults = []
    for column, _ in validation.columns:
        if not COLUMN_NAME.fullmatch(column):
            hint = "Give it an alias of letters, digits and _: … as score"
            faults.append(PipeFault(f"a column is called {column[:60]!r}", hint))
    for parameter in header.parameters:
        tag = f":{parameter.name}"
        if parameter.name not in validation.used_parameters:
            hint = "Use it or remove the line"
            if parameter.group:
                hint = f"Pass it to a macro, as all of the group: **{parameter.group}"
            faults.append(PipeFault(f"{tag} is declared and never used", hint, header.lines.get(tag, 0)))
    if header.key and header.key not in dict(validation.columns):
        message, hint = f"@key {header.key} is not a column of the answer", "It names the list to which a row belongs"
        faults.append(PipeFault(message, hint, header.lines.get("@key", 0)))
    if header.together and dict(validation.columns).get(header.together) != "String":
        message = f"@together {header.together} is not a column of type String"
        hint = f"Select the text of {{{{ {header.together} }}}} to which a row belongs"
        faults.append(PipeFault(message, hint, header.lines.get("@together", 0)))
    return faults


def _public_problem(header: Header, names: Collection[str], read: ReadHeader) -> str:
    """Why a pipe cannot be public; empty if it can."""
    fallback, seen = header.fallback, set[str]()
    while header.audience == "public" and fallback and fallback.pipe in names and fallback.pipe not in seen:
        seen.add(fallback.pipe)
        following = read(fallback.pipe)
        if following and following.audience == "private":
            return f"@public: the fallback {fallback.pipe} is @private"
        fallback = following.fallback if following else None
    return ""


def _target_problem(moved: Deprecation, names: Collection[str], read: ReadHeader) -> str:
    """Why the target pipe of a deprecated parameter cannot answer it; empty if it can."""
    if moved.pipe not in names:
        near = get_close_matches(moved.pipe, names, n=1)
        return f"{moved.pipe} is not a pipe" + (f"; did you mean {near[0]}?" if near else "")
    target = read(moved.pipe)
    if target and all(moved.name != parameter.name for parameter in target.parameters):
        return f"{moved.pipe} has no such parameter"
    return ""  # a target that cannot be read has a fault of its own
