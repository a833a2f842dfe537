"""Resolve the columns that each SELECT of a text can see, from the text and the schema."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sqlglot import exp

Columns = list[str] | None
"""None: unknown."""
Schema = Mapping[str, Mapping[str, str]]
"""{table: {column: type}}"""


@dataclass
class Scope:
    """A SELECT, the columns of its sources by their names, and its aliases.

    `parts` replace the SELECT for the scalar values in the WITH of a UNION. `tables`: what
    `in name` may read.
    """

    select: exp.Select
    sources: dict[str, Columns] = field(default_factory=dict)
    aliases: dict[str, list[exp.Expr]] = field(default_factory=dict)
    outer: Scope | None = None
    parts: list[exp.Expr] = field(default_factory=list)
    tables: frozenset[str] = frozenset()

    def sees(self, name: str) -> bool:
        """True if an unqualified name is defined here, or if a source has unknown columns."""
        if name in self.aliases or name in self._columns or self.is_open:
            return True
        return self.outer.sees(name) if self.outer else False

    @cached_property
    def _columns(self) -> frozenset[str]:
        return frozenset(name for columns in self.sources.values() for name in columns or ())

    @property
    def is_open(self) -> bool:
        """True if it reads a source with unknown columns."""
        return any(columns is None for columns in self.sources.values())

    def source(self, name: str) -> tuple[bool, Columns]:
        """True if this or an outer SELECT reads a source of this name, and its columns."""
        if name in self.sources:
            return True, self.sources[name]
        return self.outer.source(name) if self.outer else (False, None)

    def names(self) -> list[str]:
        """All names that are defined here."""
        own = [*self.aliases, *(name for columns in self.sources.values() for name in columns or ())]
        return sorted({*own, *(self.outer.names() if self.outer else ())})

    def nodes(self) -> Sequence[exp.Expr]:
        """The nodes of this SELECT without those of inner SELECTs, outer nodes first."""
        return self._walked[0]

    def inner(self) -> Sequence[exp.Expr]:
        """The SELECTs and UNIONs directly inside this SELECT."""
        return self._walked[1]

    @cached_property
    def _walked(self) -> tuple[list[exp.Expr], list[exp.Expr]]:
        nodes: list[exp.Expr] = []
        inner: list[exp.Expr] = []
        queue: deque[exp.Expr] = deque(self.parts or [self.select])
        while queue:
            node = queue.popleft()
            nodes.append(node)
            for child in node.iter_expressions():
                (inner if isinstance(child, (exp.Select, exp.SetOperation)) else queue).append(child)
        return nodes, inner


def find_scopes(tree: exp.Expr, schema: Schema) -> list[Scope]:
    """The SELECTs of a text, outer ones first. `schema`: the columns of the tables that it reads."""
    result: list[Scope] = []
    _visit(tree, {name: list(columns) for name, columns in schema.items()}, None, result)
    return result


Readable = Mapping[str, Columns]
"""{name of a table or sub-query: its columns}"""


def _visit(
    query: exp.Expr, readable: Readable, outer: Scope | None, result: list[Scope], recursive: str = ""
) -> Columns:
    """Appends the scopes of a query to `result`, and returns its columns.

    `recursive`: the name by which a recursive query reads itself.
    """
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        named = Scope(exp.Select(), outer=outer)
        seen, visited = _with(query, readable, named, result)
        if named.aliases:
            named.parts = [value for values in named.aliases.values() for value in values]
            named.tables = frozenset(seen)
            result.append(named)
            _visit_rest(named, seen, visited, result)
        first = _visit(query.this, seen, _visible(named), result, recursive)
        _visit(query.expression, {**seen, recursive: first} if recursive else seen, _visible(named), result)
        return first
    if not isinstance(query, exp.Select):
        return None
    scope = Scope(query, outer=outer)
    result.append(scope)
    named = Scope(query, outer=outer)  # inner queries of WITH and FROM see its scalar values
    seen, visited = _with(query, readable, named, result)
    scope.aliases.update((name, list(values)) for name, values in named.aliases.items())
    scope.tables = frozenset(seen)
    for source in _sources(query):
        if isinstance(source, exp.Subquery):
            visited.append(source.unnest())
            name = source.alias_or_name or f"({len(scope.sources)})"
            scope.sources[name] = _renamed(source, _visit(source.this, seen, _visible(named), result))
        elif isinstance(source, exp.Table):
            scope.sources[source.alias_or_name] = _renamed(source, seen.get(source.name))
        elif isinstance(source, exp.Alias):  # of an ARRAY JOIN
            scope.sources[f"({len(scope.sources)})"] = [source.alias]
    for node in scope.nodes():
        if isinstance(node, exp.Alias) and not isinstance(node.parent, exp.Join):
            scope.aliases.setdefault(node.alias, []).append(node)
    _visit_rest(scope, seen, visited, result)
    return _outputs(scope)


def _visit_rest(scope: Scope, seen: Readable, visited: Sequence[exp.Expr], result: list[Scope]) -> None:
    """Visits the inner queries of a SELECT outside its FROM and WITH."""
    for inner in scope.inner():
        if not any(inner is query for query in visited):
            _visit(inner, seen, scope, result)


def _with(
    query: exp.Expr, readable: Readable, named: Scope, result: list[Scope]
) -> tuple[dict[str, Columns], list[exp.Expr]]:
    """What can be read below a WITH, and the queries that were visited. `named` gets its scalar values."""
    seen, visited = dict(readable), []
    clause = query.args.get("with_")
    for cte in clause.expressions if clause else ():
        if cte.args.get("scalar"):
            named.aliases.setdefault(cte.alias, []).append(cte)
        else:
            visited.append(cte.this.unnest())
            recursive = cte.alias if clause and clause.args.get("recursive") else ""
            seen[cte.alias] = _renamed(cte, _visit(cte.this, seen, _visible(named), result, recursive))
    return seen, visited


def _visible(named: Scope) -> Scope | None:
    return named if named.aliases else named.outer


def _renamed(source: exp.Expr, columns: Columns) -> Columns:
    """The columns with the names of a table alias: (select …) as t (a, b)."""
    alias = source.args.get("alias")
    names = [column.name for column in alias.args.get("columns") or ()] if isinstance(alias, exp.TableAlias) else []
    return names or columns


def _sources(select: exp.Select) -> Iterator[exp.Expr]:
    if select.args.get("from_"):
        yield _plain(select.args["from_"].this)
    for join in select.args.get("joins") or ():
        if join.args.get("kind") == "ARRAY":
            yield from (join.this, *join.expressions)
        else:
            yield _plain(join.this)


def _plain(source: exp.Expr) -> exp.Expr:
    """A table without FINAL."""
    return source.this if isinstance(source, exp.Final) else source


def _outputs(scope: Scope) -> Columns:
    names: list[str] = []
    for expression in scope.select.expressions:
        inner = expression.unalias()
        star = inner.this if isinstance(inner, exp.Column) else inner
        if not isinstance(star, exp.Star):
            names.append(expression.alias_or_name or expression.sql(dialect="clickhouse"))
            continue
        sources = [inner.table] if isinstance(inner, exp.Column) and inner.table else list(scope.sources)
        if not scope.sources:
            return None
        excluded = {column.name for column in star.args.get("except_") or ()}
        for name in sources:
            columns = scope.sources.get(name)
            if columns is None:
                return None
            names += [column for column in columns if column not in excluded]
    return names
