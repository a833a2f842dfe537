"""A pipe that passed every check: its header, its columns, and its SQL for each choice of parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from alsobought.pipes.check import check
from alsobought.pipes.header import Deprecation, Header
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.template import Templates, render
from alsobought.pipes.validation_cache import Described

MAX_RENDERED = 256  # texts of a pipe that are kept, one for each choice of parameters
SOURCE = "source"  # the last column of a list that is filled: the pipe that gave the row


@dataclass(frozen=True)
class Pipe:
    """A pipe that passed every check. `version` changes with its text and with any macro.

    `selected` are the columns of its SELECT, `columns` those of its answer.
    """

    name: str
    header: Header
    text: str
    version: str
    selected: Described
    tables: list[str]
    _jinja: Templates = field(repr=False)
    _own_tables: Collection[str] = field(repr=False)
    _rendered: dict[frozenset[str], str] = field(default_factory=dict, repr=False)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.header.parameters

    @property
    def csv_files(self) -> list[str]:
        """The CSV files that it uses, by itself or through a macro."""
        return sorted(self._jinja.csv_read)

    @property
    def tells_source(self) -> bool:
        """Whether a column says which pipe gave each row. A column of that name in the SELECT stays what it is."""
        return self.header.fallback is not None and SOURCE not in dict(self.selected)

    @cached_property
    def columns(self) -> Described:
        return [*self.selected, (SOURCE, "String")] if self.tells_source else self.selected

    def takes(self, name: str) -> bool:
        """Whether a request may give a parameter of this name, be it a deprecated one."""
        return any(name in (one.name, *one.former_names) for one in self.parameters) or any(
            name == one.name for one in self.header.moved
        )

    def deprecated(self, given: Mapping[str, Any]) -> list[Deprecation]:
        """The deprecated parameters among those that a request gives."""
        return [one for one in self.header.deprecated if is_given(given, one.name)]

    def sql(self, given: Collection[str]) -> str:
        """The text where these parameters were given; made and checked once for each choice of them.

        Raises PipeFault for a choice that was not tried at load.
        """
        names = frozenset(given)
        if names not in self._rendered:
            sql, places = render(self.text, self.parameters, names, self._jinja)
            check(sql, self._own_tables, places)
            if len(self._rendered) >= MAX_RENDERED:
                return sql
            self._rendered[names] = sql
        return self._rendered[names]


def is_given(given: Mapping[str, Any], name: str) -> bool:
    """Whether a request gives a parameter; no value at all is none."""
    value = given.get(name)
    return value is not None and not (isinstance(value, (list, tuple)) and not value)
