"""A valid pipe: its header, its columns, and its SQL for each choice of parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from alsobought.pipes.audience import Audience, own_audience
from alsobought.pipes.check import check
from alsobought.pipes.engine_tree import ReadTree, check_tree
from alsobought.pipes.header import Deprecation, Header
from alsobought.pipes.parameters import INTEGERS, Parameter
from alsobought.pipes.sandbox import BUILT_IN, VARIANTS, Templates
from alsobought.pipes.template import render, select_values
from alsobought.pipes.validation_cache import AnswerColumns

MAX_RENDERED = 256  # cached texts of a pipe, one for each choice of parameters
SEPARATOR = "\0"  # between values that go together; no id contains it
SOURCE = "source"  # the last column of a list with fallbacks: the pipe that returned the row


@dataclass(frozen=True)
class Pipe:
    """A valid pipe. `version` changes with its text and with any macro.

    `selected` are the columns of its SELECT, `columns` those of its answer.
    """

    name: str
    header: Header
    text: str
    version: str
    selected: AnswerColumns
    tables: list[str]
    _templates: Templates = field(repr=False)
    _schema: Collection[str] = field(repr=False)
    _rendered: dict[frozenset[str], str] = field(default_factory=dict, repr=False)
    _has_variants: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)
    _read_tree: ReadTree | None = field(default=None, repr=False, compare=False)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.header.parameters

    @property
    def csv_files(self) -> list[str]:
        """The CSV files that it uses, directly or through a macro."""
        return sorted(self._templates.csv_read)

    @property
    def adds_source(self) -> bool:
        """True if the answer gets a column with the pipe of each row.

        A column of that name in the SELECT is not replaced.
        """
        return self.header.fallback is not None and SOURCE not in dict(self.selected)

    @cached_property
    def columns(self) -> AnswerColumns:
        own = [column for column in self.selected if column[0] != self.header.together]
        return [*own, (SOURCE, "String")] if self.adds_source else own

    @cached_property
    def audience(self) -> Audience:
        """Whose data it shows, without that of its fallbacks."""
        return own_audience(self)

    @cached_property
    def limit(self) -> Parameter | None:
        """The parameter that sets the length of a list; a pipe with one has pages."""
        return next((p for p in self.parameters if p.name == "limit" and p.type in INTEGERS and not p.repeated), None)

    @property
    def shared_by(self) -> str:
        """The parameter in which requests may differ and still share a query; empty if there is none."""
        return self.header.key or self.header.together

    def values_of_query(self, bound: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values as the query takes them: those of a `@together` parameter are one text, separated by NUL.

        Several requests that share the query have a list of values each.
        """
        together = self.header.together
        if not together:
            return bound
        values = bound[together]
        lists = values if values and isinstance(values[0], list) else [values]
        return {**bound, together: [SEPARATOR.join(one) for one in lists]}

    def accepts(self, name: str) -> bool:
        """True if a request may give a parameter of this name, including deprecated ones."""
        return any(name in (parameter.name, *parameter.former_names) for parameter in self.parameters) or any(
            name == moved.name for moved in self.header.moved
        )

    def deprecated(self, request: Mapping[str, Any]) -> list[Deprecation]:
        """The deprecated parameters of a request."""
        return [deprecation for deprecation in self.header.deprecated if is_provided(request, deprecation.name)]

    def sql(self, provided: Collection[str]) -> str:
        """The SQL if these parameters are provided, as the catalogue is now; rendered and checked once for each choice.

        Raises PipeFault for a choice that was not validated at load.
        """
        names = frozenset([*provided, VARIANTS] if self._has_variants() else provided)
        if names not in self._rendered:
            sql, source_map = render(self.text, self.parameters, names, self._templates)
            check(sql, self._schema, source_map)
            samples = {parameter.name: parameter.sample() for parameter in (*self.parameters, *BUILT_IN)}
            check_tree(sql, select_values(sql, samples), source_map, self._read_tree)
            if len(self._rendered) >= MAX_RENDERED:
                return sql
            self._rendered[names] = sql
        return self._rendered[names]


def is_provided(request: Mapping[str, Any], name: str) -> bool:
    """True if a request provides a parameter. None and an empty list do not count."""
    value = request.get(name)
    return value is not None and not (isinstance(value, (list, tuple)) and not value)
