"""Fill lists that have too few rows from the chain of fallbacks.

A list of limit n gets n rows: those of the pipe itself first, then those of its `@fallback`, then
those of the fallback's fallback. A fallback adds no item that the list already has, that the request
is about, or that `exclude` names. A fallback that lacks a filter of the request is skipped, since its
rows would ignore the filter. A variant of an item stands for all of its group. Pure: the caller runs the
queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alsobought.pipes.header import Fallback
from alsobought.pipes.library import Pipe
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.variants import NoVariants, Variants

ITEM_COLUMNS = ("other_item_id", "item_id")  # the first one that an answer has contains the items of the list
FILTERS = ("category", "brand", "tags", "min_price", "max_price", "currency")
NO_VARIANTS = NoVariants()
UNLIMITED = 100_000  # missing rows of an empty list without a limit
Row = list[Any]


def item_column(names: Sequence[str]) -> str:
    """The column that contains the items of a list; empty if there is none."""
    return next((name for name in ITEM_COLUMNS if name in names), "")


def rename_columns(fallback: Fallback, previous: Mapping[str, str]) -> Mapping[str, str]:
    """{column of a fallback: its name in the answer}. `previous`: the same for the pipe that names the fallback.

    >>> rename_columns(Fallback("popular", {"id": "item_id"}), {"item_id": "other_item_id"})
    {'item_id': 'other_item_id', 'id': 'other_item_id'}
    """
    return {**previous, **{theirs: previous.get(ours, ours) for theirs, ours in fallback.renamed.items()}}


class FilledLists:
    """The lists of one answer: one for each value of the pipe's key, or a single one.

    `fallback` is the first pipe that added rows to a list in which the pipe itself had none.
    """

    def __init__(
        self, pipe: Pipe, bound: Mapping[str, Any], rows: Sequence[Row], variants: Variants = NO_VARIANTS
    ) -> None:
        self._pipe, self._bound, self._variants = pipe, bound, variants
        self._names = [name for name, _ in pipe.columns]
        self._key = pipe.header.key
        item = item_column(self._names)
        self._item_index = self._names.index(item) if item and item != self._key else None
        self._limit = bound.get("limit") if self._item_index is not None else None
        self._lists: dict[Any, list[Row]] = {}
        key_index = self._names.index(self._key) if self._key else None
        for row in rows:
            self._lists.setdefault(None if key_index is None else row[key_index], []).append(row)
        for key in bound[self._key] if self._key else [None]:
            self._lists.setdefault(key, [])
        self._empty = {key for key, rows in self._lists.items() if not rows}
        self.fallback: str | None = None

    @property
    def is_full(self) -> bool:
        return not any(map(self._missing, self._lists))

    def rows(self) -> list[Row]:
        return [row for rows in self._lists.values() for row in rows]

    def requests_for(self, fallback: Pipe) -> Iterator[tuple[list[Any], dict[str, Any]]]:
        """(keys of incomplete lists, the parameters of a fallback for them); nothing if it cannot be used.

        One request for all lists, or one for each if the fallback takes the key and answers for one value of it.
        """
        parameters = {parameter.name: parameter for parameter in fallback.parameters}
        if any(name in self._bound and name not in parameters for name in FILTERS):
            return
        incomplete = [key for key in self._lists if self._missing(key)]
        takes_one = self._key in parameters and not parameters[self._key].repeated
        for keys in [[key] for key in incomplete] if takes_one else [incomplete]:
            request = self._request(fallback, parameters, keys)
            if all(parameter.name in request for parameter in fallback.parameters if parameter.required):
                yield keys, request

    def _request(self, fallback: Pipe, parameters: Mapping[str, Parameter], incomplete: list[Any]) -> dict[str, Any]:
        request = {p.name: p.assumed for p in fallback.parameters if p.default is not None}
        for parameter in fallback.parameters:
            for name in (*parameter.former_names, parameter.name):
                renamed_key = name == self._key != parameter.name  # each list leaves out its own key, not all of them
                request |= self._converted(parameter, name) if name in self._bound and not renamed_key else {}
        if self._key in parameters:
            request[self._key] = incomplete if parameters[self._key].repeated else incomplete[0]
        excluded_in_all = set.intersection(*(self._excluded(key) for key in incomplete))
        if "exclude" in parameters and (added := sorted(map(str, excluded_in_all - set(request.get("exclude", ()))))):
            request["exclude"] = [*request.get("exclude", ()), *added]
        if "limit" in parameters and self._limit is not None:
            dropped_by_query = excluded_in_all if "exclude" in parameters else set()
            needed = max(self._missing(key) + len(self._excluded(key) - dropped_by_query) for key in incomplete)
            request["limit"] = parameters["limit"].within_type(needed)
        return request

    def add(self, fallback: Pipe, keys: Sequence[Any], names: Sequence[str], rows: Sequence[Row]) -> None:
        """Adds the rows of a fallback to the lists of these keys. `names`: its columns, as the answer calls them."""
        indexes = {name: index for index, name in enumerate(names)}
        key_index = indexes.get(self._key) if self._key and fallback.header.key == self._key else None
        groups = self._groups(keys, names, rows)
        for key in keys:
            filled = self._lists[key]
            missing, excluded = self._missing(key), self._excluded(key)
            excluded |= {groups[item] for item in excluded if item in groups}
            for row in rows:
                if not missing:
                    break
                if key_index is not None and row[key_index] != key:
                    continue
                added = [
                    key if name == self._key else row[indexes[name]] if name in indexes else None
                    for name in self._names
                ]
                if self._pipe.adds_source:
                    added[-1] = fallback.name
                if self._item_index is not None:
                    item = added[self._item_index]
                    product = groups.get(item, item)
                    if product in excluded:
                        continue
                    excluded.add(product)
                filled.append(added)
                missing -= 1
                if key in self._empty:
                    self.fallback = self.fallback or fallback.name

    def _groups(self, keys: Sequence[Any], names: Sequence[str], rows: Sequence[Row]) -> Mapping[Any, int]:
        """The groups of the items in these rows and of those that no fallback may add to the lists of these keys."""
        if self._item_index is None or not self._variants.exist or not rows:
            return {}
        items = set[Any]().union(*map(self._excluded, keys))
        if (name := self._names[self._item_index]) in names:
            items.update(row[names.index(name)] for row in rows)
        return self._variants.groups(items)

    def _missing(self, key: Any) -> int:
        """The number of rows that a list lacks. Without a limit, or without items, only an empty one lacks any."""
        rows = self._lists[key]
        return (0 if rows else UNLIMITED) if self._limit is None else max(0, self._limit - len(rows))

    def _excluded(self, key: Any) -> set[Any]:
        """The items that no fallback may add to a list."""
        if self._item_index is None:
            return set()
        subjects = [key] if self._key == "item_id" else _as_list(self._bound.get("item_id"))
        items = (row[self._item_index] for row in self._lists[key])
        return {*items, *subjects, *_as_list(self._bound.get("exclude"))}

    def _converted(self, parameter: Parameter, name: str) -> dict[str, Any]:
        """A value of the request as the parameter of a fallback; empty if the fallback does not accept it."""
        value = self._bound[name]
        if parameter.repeated:
            value = _as_list(value)
        elif isinstance(value, list):
            if len(value) != 1:
                return {}
            value = value[0]
        if parameter.choices and any(element not in parameter.choices for element in _as_list(value)):
            return {}
        return {parameter.name: value}


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def chain(pipe: Pipe, pipes: Mapping[str, Pipe]) -> Iterator[tuple[Pipe, Mapping[str, str]]]:
    """The fallbacks of a pipe among these, each once, and the names of their columns in its answer."""
    seen = {pipe.name}
    names: Mapping[str, str] = {}
    while (fallback := pipe.header.fallback) and fallback.pipe not in seen and fallback.pipe in pipes:
        names = rename_columns(fallback, names)
        pipe = pipes[fallback.pipe]
        seen.add(pipe.name)
        yield pipe, names
