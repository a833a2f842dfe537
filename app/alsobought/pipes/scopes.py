"""Which columns each SELECT of a text can see, as far as the text and the tables' own columns tell."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sqlglot import exp

Columns = list[str] | None
"""None: they cannot be told from the text."""
Schema = Mapping[str, Mapping[str, str]]
"""The columns of each table and their types."""


@dataclass
class Scope:
    """A SELECT, the columns of what it reads by the name it has there, and the names it gives to expressions.

    `parts`: what stands in it, where that is not the SELECT: the values that the WITH of a UNION names. `tables`: what
    `in name` may read.
    """

    select: exp.Select
    sources: dict[str, Columns] = field(default_factory=dict)
    aliases: dict[str, list[exp.Expr]] = field(default_factory=dict)
    above: Scope | None = None
    parts: list[exp.Expr] = field(default_factory=list)
    tables: frozenset[str] = frozenset()

    def sees(self, name: str) -> bool:
        """Whether a bare name can mean something here; true where it cannot be told."""
        if name in self.aliases or name in self._columns or self.is_open:
            return True
        return self.above.sees(name) if self.above else False

    @cached_property
    def _columns(self) -> frozenset[str]:
        return frozenset(name for columns in self.sources.values() for name in columns or ())

    @property
    def is_open(self) -> bool:
        """Whether it reads something whose columns cannot be told."""
        return any(columns is None for columns in self.sources.values())

    def source(self, name: str) -> tuple[bool, Columns]:
        """Whether something is read by this name, here or around, and its columns."""
        if name in self.sources:
            return True, self.sources[name]
        return self.above.source(name) if self.above else (False, None)

    def names(self) -> list[str]:
        """All that could have been meant."""
        own = [*self.aliases, *(name for columns in self.sources.values() for name in columns or ())]
        return sorted({*own, *(self.above.names() if self.above else ())})

    def nodes(self) -> Sequence[exp.Expr]:
        """What stands in this SELECT and not in one inside it, outer nodes first."""
        return self._walked[0]

    def inner(self) -> Sequence[exp.Expr]:
        """The SELECTs and UNIONs inside this SELECT, and not inside one another."""
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


def scopes(tree: exp.Expr, schema: Schema) -> list[Scope]:
    """The SELECTs of a text, outer ones first. `schema`: the columns of the tables that it reads."""
    found: list[Scope] = []
    _visit(tree, {name: list(columns) for name, columns in schema.items()}, None, found)
    return found


Known = Mapping[str, Columns]


def _visit(query: exp.Expr, known: Known, above: Scope | None, found: list[Scope], recursive: str = "") -> Columns:
    """Adds the scopes of a query, and tells its columns. `known`: what can be read by which name; `recursive`: the name by
    which the query reads itself.
    """
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        named = Scope(exp.Select(), above=above)
        seen, visited = _with(query, known, named, found)
        if named.aliases:
            named.parts = [value for values in named.aliases.values() for value in values]
            named.tables = frozenset(seen)
            found.append(named)
            _visit_rest(named, seen, visited, found)
        first = _visit(query.this, seen, _around(named), found, recursive)
        _visit(query.expression, {**seen, recursive: first} if recursive else seen, _around(named), found)
        return first
    if not isinstance(query, exp.Select):
        return None
    scope = Scope(query, above=above)
    found.append(scope)
    named = Scope(query, above=above)  # what the queries of a WITH and of a FROM see of this one: values with a name
    seen, visited = _with(query, known, named, found)
    scope.aliases.update((name, list(values)) for name, values in named.aliases.items())
    scope.tables = frozenset(seen)
    for source in _sources(query):
        if isinstance(source, exp.Subquery):
            visited.append(source.unnest())
            name = source.alias_or_name or f"({len(scope.sources)})"
            scope.sources[name] = _renamed(source, _visit(source.this, seen, _around(named), found))
        elif isinstance(source, exp.Table):
            scope.sources[source.alias_or_name] = _renamed(source, seen.get(source.name))
        elif isinstance(source, exp.Alias):  # of an ARRAY JOIN
            scope.sources[f"({len(scope.sources)})"] = [source.alias]
    for node in scope.nodes():
        if isinstance(node, exp.Alias) and not isinstance(node.parent, exp.Join):
            scope.aliases.setdefault(node.alias, []).append(node)
    _visit_rest(scope, seen, visited, found)
    return _outputs(scope)


def _visit_rest(scope: Scope, seen: Known, visited: Sequence[exp.Expr], found: list[Scope]) -> None:
    """The queries inside a SELECT that are neither its sources nor its WITH."""
    for inner in scope.inner():
        if not any(inner is one for one in visited):
            _visit(inner, seen, scope, found)


def _with(query: exp.Expr, known: Known, named: Scope, found: list[Scope]) -> tuple[dict[str, Columns], list[exp.Expr]]:
    """What can be read under a WITH, and the queries of it that were visited; `named` gets its values."""
    seen, visited = dict(known), []
    clause = query.args.get("with_")
    for cte in clause.expressions if clause else ():
        if cte.args.get("scalar"):
            named.aliases.setdefault(cte.alias, []).append(cte)
        else:
            visited.append(cte.this.unnest())
            recursive = cte.alias if clause and clause.args.get("recursive") else ""
            seen[cte.alias] = _renamed(cte, _visit(cte.this, seen, _around(named), found, recursive))
    return seen, visited


def _around(named: Scope) -> Scope | None:
    return named if named.aliases else named.above


def _renamed(source: exp.Expr, columns: Columns) -> Columns:
    """The columns by the names that an alias gives them: (select …) as t (a, b)."""
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
    """A table without how it is read: FINAL."""
    return source.this if isinstance(source, exp.Final) else source


def _outputs(scope: Scope) -> Columns:
    names: list[str] = []
    for one in scope.select.expressions:
        inner = one.unalias()
        star = inner.this if isinstance(inner, exp.Column) else inner
        if not isinstance(star, exp.Star):
            names.append(one.alias_or_name or one.sql(dialect="clickhouse"))
            continue
        wanted = [inner.table] if isinstance(inner, exp.Column) and inner.table else list(scope.sources)
        if not scope.sources:
            return None
        left_out = {column.name for column in star.args.get("except_") or ()}
        for name in wanted:
            columns = scope.sources.get(name)
            if columns is None:
                return None
            names += [column for column in columns if column not in left_out]
    return names
