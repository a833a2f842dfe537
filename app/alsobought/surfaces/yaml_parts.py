"""Read YAML with the line of each part, so that a fault is reported where it stands.

Anchors are refused: a few lines of them can stand for gigabytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from alsobought.errors import PipeFault

SYNTAX_HINT = "Indent with spaces, and put a text with a colon or a # in quotes"


@dataclass(frozen=True)
class Part:
    """A scalar, a list of parts, or a mapping of names to parts; `line` is that of its name, or of the part itself in a list."""

    line: int
    value: Any

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, dict)


class Faults:
    """The faults of a file, in the order in which they were found."""

    def __init__(self) -> None:
        self.all: list[PipeFault] = []

    def add(self, part: Part, message: str, hint: str = "") -> None:
        self.all.append(PipeFault(message, hint, part.line))

    def __len__(self) -> int:
        return len(self.all)


def read_parts(text: str, faults: Faults) -> dict[str, Part]:
    """The parts of a file that is a mapping; of a name that occurs twice the first one.

    Raises PipeFault for a text that is no YAML, or no mapping.
    """
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        part = _part(loader, root, 1, faults) if root else Part(1, {})
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PipeFault(f"no YAML: {error.problem}", SYNTAX_HINT, mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:
        raise PipeFault("no YAML: it has a character that is not allowed", "Save it as plain UTF-8 text") from error
    except RecursionError as error:
        raise PipeFault("nested too deeply") from error
    finally:
        loader.dispose()
    if not part.is_mapping:
        raise PipeFault("a file of names, each followed by a colon, is needed", "Begin with `name:`", part.line)
    parts: dict[str, Part] = part.value
    return parts


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "references (*name) are not allowed; repeat the text", mark)
        return super().compose_node(parent, index)


def _part(loader: _Loader, node: yaml.Node, line: int, faults: Faults) -> Part:
    if isinstance(node, yaml.MappingNode):
        return Part(line, dict(_named_parts(loader, node, faults)))
    if isinstance(node, yaml.SequenceNode):
        return Part(line, [_part(loader, one, one.start_mark.line + 1, faults) for one in node.value])
    try:
        return Part(line, loader.construct_object(node))
    except ValueError as error:  # the 30th of February
        raise yaml.MarkedYAMLError(problem=f"{node.value!r}: {error}", problem_mark=node.start_mark) from error


def _named_parts(loader: _Loader, node: yaml.MappingNode, faults: Faults) -> Iterator[tuple[str, Part]]:
    lines: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem="a name must be a text", problem_mark=key.start_mark)
        if key.value in lines:
            faults.add(Part(line, None), f"{key.value} is already in line {lines[key.value]}", "Keep one of the two")
            continue
        lines[key.value] = line
        yield key.value, _part(loader, value, line, faults)


def did_you_mean(name: str, names: Collection[str]) -> str:
    """A hint with the nearest of the names, and all of them.

    >>> did_you_mean("limt", ["limit", "pipe"])
    'Did you mean limit? There are limit, pipe'
    """
    near = get_close_matches(name, names, n=1)
    return (f"Did you mean {near[0]}? " if near else "") + (f"There are {', '.join(names)}" if names else "")
