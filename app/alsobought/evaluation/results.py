"""Results as they come: the lists of each system are saved when they are done, and a later run can take them up.

`--save FILE` has a line per query, written again after every system. FILE.systems has a line per system, appended, with a key
of all that its lists depend on; `--resume` reads it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from alsobought.evaluation.report import SystemLists
from alsobought.evaluation.tasks import Query


class SavedQuery(msgspec.Struct):
    """A line of `--save`: a query, the relevant items, and the list of every system."""

    user: str
    shown: str | None
    truth: list[str]
    lists: dict[str, Sequence[str]]


class SavedSystem(msgspec.Struct):
    """A line of FILE.systems. `learned` has the summaries of the learners that a pipe needed."""

    key: str
    system: SystemLists
    learned: dict[str, str] = {}


def result_key(**content: Any) -> str:
    """A hash of what a result depends on."""
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def saved_queries(queries: Sequence[Query], systems: Sequence[SystemLists]) -> list[SavedQuery]:
    return [
        SavedQuery(
            query.user,
            query.shown or None,
            sorted(query.truth),
            {system.name: system.lists[index] for system in systems},
        )
        for index, query in enumerate(queries)
    ]


class Results:
    """The results of one run. Without a path nothing is saved; without `resume` nothing is taken from earlier runs."""

    def __init__(self, path: Path | None = None, *, resume: bool = False) -> None:
        self._path = path
        self._done: list[SystemLists] = []
        self._earlier: Mapping[str, SavedSystem] = {}
        if path and resume:
            self._earlier = {saved.key: saved for saved in _read(_systems_file(path))}
        elif path:
            _systems_file(path).unlink(missing_ok=True)

    def earlier(self, key: str) -> SavedSystem | None:
        """The result of an earlier run with this key."""
        return self._earlier.get(key)

    def add(self, saved: SavedSystem, queries: Sequence[Query]) -> None:
        """Saves a result that is done. One of an earlier run is not written again."""
        self._done.append(saved.system)
        if self._path is None:
            return
        if saved.key not in self._earlier:
            with _systems_file(self._path).open("ab") as file:
                file.write(msgspec.json.encode(saved) + b"\n")
        incomplete = self._path.with_name(self._path.name + ".new")
        incomplete.write_bytes(msgspec.json.Encoder().encode_lines(saved_queries(queries, self._done)))
        incomplete.replace(self._path)


def _systems_file(path: Path) -> Path:
    return path.with_name(path.name + ".systems")


def _read(path: Path) -> Iterator[SavedSystem]:
    """The complete lines of a file, which may not exist; the last one may be that of a killed run."""
    if path.exists():
        *lines, rest = path.read_bytes().split(b"\n")
        if rest:
            path.write_bytes(b"".join(line + b"\n" for line in lines))
        for line in lines:
            yield msgspec.json.decode(line, type=SavedSystem)
