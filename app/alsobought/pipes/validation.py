"""Validate the text of a pipe before it serves: render, check and describe it for each relevant choice of parameters.

The choices are: no optional parameter, each one alone, all of them, and all of them in a catalogue
with variants. Other choices are checked when a request first makes them. All faults are collected,
so that one run reports them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlglot import exp

from alsobought.errors import AlsoboughtError, NotOverShards, PipeFault, TooSlow
from alsobought.pipes.check import CheckedSql, check_sql, tables_of
from alsobought.pipes.columns import hidden_columns, offset_of
from alsobought.pipes.engine_errors import RejectedSql, explain_limit, explain_rejection, is_rejection
from alsobought.pipes.engine_tree import ForeignName, ReadTree, check_tree
from alsobought.pipes.header import Header
from alsobought.pipes.sandbox import BUILT_IN, VARIANTS, Templates
from alsobought.pipes.scopes import Schema
from alsobought.pipes.source_map import SourceMap
from alsobought.pipes.template import render, select_values
from alsobought.pipes.validation_cache import AnswerColumns, ValidationCache, ValidSql

Describe = Callable[[str, Mapping[str, Any]], AnswerColumns]
"""Returns the columns of a SELECT; raises an AlsoboughtError if the engine rejects it."""


class Validation:
    """The result for one text.

    Faults, warnings, the columns of its answer, the tables and parameters it uses, and its SQL for
    each validated choice of parameters.
    """

    def __init__(
        self,
        text: str,
        header: Header,
        templates: Templates,
        schema: Schema,
        describe: Describe,
        cache: ValidationCache,
        read_tree: ReadTree | None = None,
    ) -> None:
        self.text, self.header, self.templates, self.schema = text, header, templates, schema
        self._read_tree = read_tree
        self._describe, self._cache = describe, cache
        self._samples = {p.name: p.sample() for p in (*header.parameters, *BUILT_IN)}
        self.faults: list[PipeFault] = []
        self.warnings: list[PipeFault] = []
        self.columns: AnswerColumns = []
        self.tables: set[str] = set()
        self.used_parameters: set[str] = set()
        self.rendered: dict[frozenset[str], str] = {}
        self._faulty: set[str] = set()  # texts whose faults are collected

    def run(self) -> None:
        """Collects faults and warnings. Raises only errors that the text has not caused."""
        optional = [p.name for p in self.header.parameters if p.optional]
        always = frozenset(p.name for p in self.header.parameters if not p.optional)
        choices = [(), *((name,) for name in optional), tuple(optional), (*optional, VARIANTS)]
        for extra in dict.fromkeys(choices):
            try:
                self._validate(always.union(extra), extra)
            except PipeFault as fault:
                self.faults.append(fault)
                if isinstance(fault.__cause__, TooSlow):
                    break  # each further choice would wait for the limit, too

    def _validate(self, provided: frozenset[str], extra: tuple[str, ...]) -> None:
        sql, source_map = render(self.text, self.header.parameters, provided, self.templates)
        if sql in self.rendered.values():
            self.rendered[provided] = sql
            return
        if sql in self._faulty:
            return
        self._faulty.add(sql)
        self.used_parameters.update(p.name for p in self.header.parameters if f"{{{p.name}:" in sql)
        values = select_values(sql, self._samples)
        key = self._cache.key(self.templates.without_values(sql), values, self.schema)
        valid = self._cache.get(key) or self._validate_sql(sql, source_map, values, key)
        if not valid:
            return
        self.tables.update(valid.tables)
        if self.columns and valid.columns != self.columns:
            message = f"returns different columns {_condition(extra)}"
            hint = "Return the same columns for every choice of parameters"
            raise PipeFault(message, hint, self._line_of_if(extra))
        self.columns = valid.columns
        self._faulty.discard(sql)
        self.rendered[provided] = sql

    def _validate_sql(self, sql: str, source_map: SourceMap, values: Mapping[str, Any], key: str) -> ValidSql | None:
        """Caches a result without warnings. None if a fault was collected."""
        checked = check_sql(sql, self.schema, source_map, list(self._samples))
        warnings_before = len(self.warnings)
        if self._collect_findings(sql, source_map, checked):
            return None  # an error of the engine would only be a consequence
        try:
            check_tree(sql, values, source_map, self._read_tree)
            columns = self._describe_twice(sql, values)
        except TooSlow as error:
            raise explain_limit(error.message) from error
        except (ForeignName, NotOverShards):
            raise
        except AlsoboughtError as error:
            if not is_rejection(error.message) and not isinstance(error, PipeFault):
                raise
            rejected = RejectedSql(sql, source_map, checked.tree, checked.scopes, list(self._samples))
            raise explain_rejection(error.message, rejected) from error
        valid = ValidSql(key, columns, tables_of(checked.tree))
        if len(self.warnings) == warnings_before:
            self._cache.add(valid)
        return valid

    def _describe_twice(self, sql: str, values: Mapping[str, Any]) -> AnswerColumns:
        """Describing takes milliseconds: a limit that is reached once is usually the load of the machine."""
        try:
            return self._describe(sql, values)
        except TooSlow:
            return self._describe(sql, values)

    def _collect_findings(self, sql: str, source_map: SourceMap, checked: CheckedSql) -> bool:
        """True if there is a fault among the findings; the others are warnings."""
        findings = list(hidden_columns(checked.scopes))
        for finding in findings:
            fault = source_map.fault(sql, finding.offset, finding.message, finding.hint)
            (self.faults if finding.is_fault else self.warnings).append(fault)
        for offset in _unordered_limits(checked.tree):
            message = "LIMIT … BY without ORDER BY keeps arbitrary rows of each group"
            hint = "Order the rows first: order by score desc, item_key"
            self.warnings.append(source_map.fault(sql, offset, message, hint))
        return any(finding.is_fault for finding in findings)

    def _line_of_if(self, names: tuple[str, ...]) -> int:
        """The line of the first {% if %} with one of these parameters; 0 if there is none."""
        condition = re.search(rf"\{{%-?\s*(?:el)?if\b[^%]*\b(?:{'|'.join(names)})\b", self.text) if names else None
        return self.text.count("\n", 0, condition.start()) + 1 if condition else 0


def _condition(extra: tuple[str, ...]) -> str:
    if VARIANTS in extra:
        return "in a catalogue with variants"
    return f"if {' and '.join(extra)} {'is' if len(extra) == 1 else 'are'} given"


def _unordered_limits(tree: exp.Expr) -> Iterator[int]:
    for select in tree.find_all(exp.Select):
        limit = select.args.get("limit")
        if limit and limit.expressions and not select.args.get("order"):
            yield offset_of(limit.expressions[0])
