"""A text is tried before it serves: with no, each and all of its optional parameters it is rendered, checked, and described
by the engine. Whatever is wrong is collected, so that one look tells all of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlglot import exp

from alsobought.errors import AlsoboughtError, PipeFault, TooSlow
from alsobought.pipes.check import checked, tables_of
from alsobought.pipes.columns import hidden_columns, place_of
from alsobought.pipes.engine_errors import Asked, is_about_the_text, refused
from alsobought.pipes.header import Header
from alsobought.pipes.scopes import Schema, Scope
from alsobought.pipes.source_map import Places
from alsobought.pipes.template import ALWAYS, Templates, mentioned, render
from alsobought.pipes.validation_cache import Described, Found, Tried, of_schema

Describe = Callable[[str, Mapping[str, Any]], Described]
"""Asks the engine for the columns of a SELECT; raises any of our errors where it would not run."""


class Validation:
    """The finds of one text: faults, warnings, the columns of its answer, the tables and parameters it uses, and its SQL
    for every choice of parameters that was tried.
    """

    def __init__(
        self, text: str, header: Header, jinja: Templates, schema: Schema, describe: Describe, tried: Tried
    ) -> None:
        self.text, self.header, self.jinja, self.schema = text, header, jinja, schema
        self._describe, self._tried, self._of_schema = describe, tried, of_schema(schema)
        self._samples = {p.name: p.sample() for p in (*header.parameters, *ALWAYS)}
        self.faults: list[PipeFault] = []
        self.warnings: list[PipeFault] = []
        self.columns: Described = []
        self.read: set[str] = set()
        self.used: set[str] = set()
        self.rendered: dict[frozenset[str], str] = {}

    def run(self) -> None:
        """Raises only what is not the text's fault."""
        optional = [p.name for p in self.header.parameters if p.optional]
        always = frozenset(p.name for p in self.header.parameters if not p.optional)
        for extra in dict.fromkeys([(), *((one,) for one in optional), tuple(optional)]):
            try:
                self._try(always.union(extra), extra)
            except PipeFault as fault:
                self.faults.append(fault)

    def _try(self, given: frozenset[str], extra: tuple[str, ...]) -> None:
        sql, places = render(self.text, self.header.parameters, given, self.jinja)
        if sql in self.rendered.values():
            self.rendered[given] = sql
            return
        self.used.update(p.name for p in self.header.parameters if f"{{{p.name}:" in sql)
        values = mentioned(sql, self._samples)
        key = self._tried.key(sql, values, self._of_schema)
        found = self._tried.get(key) or self._examined(sql, places, values, key)
        if not found:
            return
        self.read.update(found.tables)
        if self.columns and found.columns != self.columns:
            message = f"with {', '.join(extra)} the columns are others"
            raise PipeFault(message, "An answer has one shape: give it all columns always", self._line_of_if(extra))
        self.columns = found.columns
        self.rendered[given] = sql

    def _examined(self, sql: str, places: Places, values: Mapping[str, Any], key: str) -> Found | None:
        """None where there is a fault. What is found is collected; where it is nothing, that is kept."""
        passed = checked(sql, self.schema, places, list(self._samples))
        tree, seen, tables = passed.tree, passed.scopes, tables_of(passed.tree)
        warned = len(self.warnings)
        if self._judge(sql, places, tree, seen):
            return None  # what the engine says of it would be a consequence
        try:
            columns = self._describe(sql, values)
        except AlsoboughtError as error:
            if not is_about_the_text(error.message) and not isinstance(error, (PipeFault, TooSlow)):
                raise
            raise refused(error.message, Asked(sql, places, tree, seen, list(self._samples))) from error
        found = Found(key, columns, tables)
        if len(self.warnings) == warned:
            self._tried.add(found)
        return found

    def _judge(self, sql: str, places: Places, tree: exp.Expr, found: list[Scope]) -> bool:
        """Whether there is a fault in it; warnings are no obstacle."""
        findings = list(hidden_columns(found))
        for finding in findings:
            fault = places.fault(sql, finding.at, finding.message, finding.hint)
            (self.faults if finding.certain else self.warnings).append(fault)
        for at in _unordered_limits(tree):
            message = "LIMIT … BY without ORDER BY keeps any rows of each group"
            self.warnings.append(places.fault(sql, at, message, "Order them first: order by score desc, item_key"))
        return any(finding.certain for finding in findings)

    def _line_of_if(self, names: tuple[str, ...]) -> int:
        """Where a template first asks for one of these parameters."""
        found = re.search(rf"\{{%-?\s*(?:el)?if\b[^%]*\b(?:{'|'.join(names)})\b", self.text) if names else None
        return self.text.count("\n", 0, found.start()) + 1 if found else 0


def _unordered_limits(tree: exp.Expr) -> Iterator[int]:
    for select in tree.find_all(exp.Select):
        limit = select.args.get("limit")
        if limit and limit.expressions and not select.args.get("order"):
            yield place_of(limit.expressions[0])
