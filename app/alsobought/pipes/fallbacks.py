"""Lists that are filled: what is missing is asked of the chain of fallbacks, and every row names the pipe that gave it.

Asked for n, a list has n: rows of the pipe itself first, then those of `@fallback`, then those of its fallback. What a
reader would guess wrong: a fallback says nothing of what the list holds already, of the item that was asked about, or of
what `exclude` names; and one that does not know a filter of the request is passed over, since its rows would not obey it.
Pure: the rows come from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alsobought.pipes.header import Fallback
from alsobought.pipes.library import Pipe
from alsobought.pipes.parameters import Parameter

SHOWN = ("other_item_id", "item_id")  # the first of these columns that an answer has holds the items it shows
FILTERS = ("category", "brand", "min_price", "max_price")
MOST = 100_000  # rows of a list that has no limit
Row = list[Any]


def shown_in(names: Sequence[str]) -> str:
    """The column of these that holds the items a list shows; empty where none does."""
    return next((name for name in SHOWN if name in names), "")


def renamed(fallback: Fallback, before: Mapping[str, str]) -> Mapping[str, str]:
    """What the columns of a fallback are called in the answer. `before`: the same of the pipe that falls back on it.

    >>> renamed(Fallback("popular", {"id": "item_id"}), {"item_id": "other_item_id"})
    {'item_id': 'other_item_id', 'id': 'other_item_id'}
    """
    return {**before, **{theirs: before.get(ours, ours) for theirs, ours in fallback.renamed.items()}}


class Filling:
    """The lists of one answer, one for each value of the pipe's key, or a single one. `instead` is the first pipe that
    filled a list in which the pipe itself had no rows.
    """

    def __init__(self, pipe: Pipe, bound: Mapping[str, Any], rows: Sequence[Row]) -> None:
        self._pipe, self._bound = pipe, bound
        self._names = [name for name, _ in pipe.columns]
        self._key = pipe.header.key
        item = shown_in(self._names)
        self._item = self._names.index(item) if item and item != self._key else None
        self._limit = bound.get("limit") if self._item is not None else None
        self._lists: dict[Any, list[Row]] = {}
        place = self._names.index(self._key) if self._key else None
        for row in rows:
            self._lists.setdefault(None if place is None else row[place], []).append(row)
        for value in bound[self._key] if self._key else [None]:
            self._lists.setdefault(value, [])
        self._empty = {value for value, listed in self._lists.items() if not listed}
        self.instead: str | None = None

    @property
    def full(self) -> bool:
        return not any(map(self._lacks, self._lists))

    def rows(self) -> list[Row]:
        return [row for listed in self._lists.values() for row in listed]

    def question(self, other: Pipe) -> dict[str, Any] | None:
        """What a fallback is asked, for all lists at once; None if it cannot say what belongs here."""
        takes = {parameter.name: parameter for parameter in other.parameters}
        if any(name in self._bound and name not in takes for name in FILTERS):
            return None
        asked = {p.name: p.assumed for p in other.parameters if p.default is not None}
        for parameter in takes.values():
            for name in (*parameter.former_names, parameter.name):
                asked |= self._fitted(parameter, name) if name in self._bound else {}
        lacking = [value for value in self._lists if self._lacks(value)]
        if self._key and other.header.key == self._key:
            asked[self._key] = lacking
        if any(parameter.required and name not in asked for name, parameter in takes.items()):
            return None
        everywhere = set.intersection(*(self._kept_out(value) for value in lacking))
        known = set(asked.get("exclude", ()))
        if "exclude" in takes and (more := sorted(map(str, everywhere - known))):
            asked["exclude"] = [*asked.get("exclude", ()), *more]
        if "limit" in takes and self._limit is not None:
            dropped = everywhere if "exclude" in takes else set()
            wanted = max(self._lacks(value) + len(self._kept_out(value) - dropped) for value in lacking)
            asked["limit"] = min(wanted, takes["limit"].bounds()[1])
        return asked

    def take(self, other: Pipe, names: Sequence[str], rows: Sequence[Row]) -> None:
        """Adds what a fallback said. `names`: its columns, as the answer calls them."""
        places = {name: place for place, name in enumerate(names)}
        own = places.get(self._key) if self._key and other.header.key == self._key else None
        for value, listed in self._lists.items():
            room, kept_out = self._lacks(value), self._kept_out(value)
            for row in rows:
                if not room:
                    break
                if own is not None and row[own] != value:
                    continue
                made = [
                    value if name == self._key else row[places[name]] if name in places else None
                    for name in self._names
                ]
                if self._pipe.tells_source:
                    made[-1] = other.name
                if self._item is not None:
                    if made[self._item] in kept_out:
                        continue
                    kept_out.add(made[self._item])
                listed.append(made)
                room -= 1
                if value in self._empty:
                    self.instead = self.instead or other.name

    def _lacks(self, value: Any) -> int:
        """How many rows a list lacks. Without a limit, or without items, only an empty one lacks any."""
        listed = self._lists[value]
        return (0 if listed else MOST) if self._limit is None else max(0, self._limit - len(listed))

    def _kept_out(self, value: Any) -> set[Any]:
        """The items that no fallback may add to a list."""
        if self._item is None:
            return set()
        about = [value] if self._key == "item_id" else _listed(self._bound.get("item_id"))
        return {*(row[self._item] for row in self._lists[value]), *about, *_listed(self._bound.get("exclude"))}

    def _fitted(self, parameter: Parameter, name: str) -> dict[str, Any]:
        """The value that was asked under this name, as a parameter of a fallback takes it; nothing if it does not."""
        value = self._bound[name]
        if parameter.repeated:
            value = _listed(value)
        elif isinstance(value, list):
            if len(value) != 1:
                return {}
            value = value[0]
        if parameter.choices and any(one not in parameter.choices for one in _listed(value)):
            return {}
        return {parameter.name: value}


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def chain(pipe: Pipe, named: Mapping[str, Pipe]) -> Iterator[tuple[Pipe, Mapping[str, str]]]:
    """The fallbacks of a pipe among these, each once, with what their columns are called in its answer."""
    seen = {pipe.name}
    names: Mapping[str, str] = {}
    while (fallback := pipe.header.fallback) and fallback.pipe not in seen and fallback.pipe in named:
        names = renamed(fallback, names)
        pipe = named[fallback.pipe]
        seen.add(pipe.name)
        yield pipe, names
