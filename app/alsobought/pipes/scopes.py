"""Which columns each SELECT of a text can see, as far as the text and the tables' own columns tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

Columns = list[str] | None
"""None: they cannot be told from the text."""
Schema = Mapping[str, Mapping[str, str]]
"""The columns of each table and their types."""


@dataclass
class Scope:
    """A SELECT, the columns of what it reads by the name it has there, and the names it gives to expressions."""

    select: exp.Select
    sources: dict[str, Columns] = field(default_factory=dict)
    aliases: dict[str, list[exp.Expr]] = field(default_factory=dict)
    above: Scope | None = None

    def sees(self, name: str) -> bool:
        """Whether a bare name can mean something here; true where it cannot be told."""
        if name in self.aliases or any(columns is None or name in columns for columns in self.sources.values()):
            return True
        return self.above.sees(name) if self.above else False

    def source(self, name: str) -> tuple[bool, Columns]:
        """Whether something is read by this name, here or around, and its columns."""
        if name in self.sources:
            return True, self.sources[name]
        return self.above.source(name) if self.above else (False, None)

    def names(self) -> list[str]:
        """All that could have been meant."""
        own = [*self.aliases, *(name for columns in self.sources.values() for name in columns or ())]
        return sorted({*own, *(self.above.names() if self.above else ())})

    def nodes(self) -> Iterator[exp.Expr]:
        """What stands in this SELECT and not in one inside it."""
        for node in self.select.walk(prune=lambda node: isinstance(node, exp.Select) and node is not self.select):
            if node is self.select or not isinstance(node, exp.Select):
                yield node


def scopes(tree: exp.Expr, schema: Schema) -> list[Scope]:
    """The SELECTs of a text, outer ones first. `schema`: the columns of the tables that it reads."""
    found: list[Scope] = []
    _visit(tree, {name: list(columns) for name, columns in schema.items()}, None, found)
    return found


def _visit(query: exp.Expr, known: Mapping[str, Columns], above: Scope | None, found: list[Scope]) -> Columns:
    """Adds the scopes of a query, and tells its columns. `known`: what can be read by which name."""
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        first = _visit(query.this, known, above, found)
        _visit(query.expression, known, above, found)
        return first
    if not isinstance(query, exp.Select):
        return None
    scope = Scope(query, above=above)
    found.append(scope)
    seen, visited = dict(known), []
    named = Scope(query)  # what the queries of a WITH and of a FROM see of this one: its values with a name
    for cte in query.args["with_"].expressions if query.args.get("with_") else ():
        if cte.args.get("scalar"):
            scope.aliases.setdefault(cte.alias, []).append(cte)
            named.aliases[cte.alias] = [cte]
        else:
            visited.append(cte)
            seen[cte.alias] = _visit(cte.this, seen, named if named.aliases else None, found)
    for source in _sources(query):
        if isinstance(source, exp.Subquery):
            visited.append(source)
            scope.sources[source.alias_or_name or f"({len(scope.sources)})"] = _visit(
                source.this, seen, named if named.aliases else None, found
            )
        elif isinstance(source, exp.Table):
            scope.sources[source.alias_or_name] = seen.get(source.name)
        elif isinstance(source, exp.Alias):  # of an ARRAY JOIN
            scope.sources[f"({len(scope.sources)})"] = [source.alias]
    for node in scope.nodes():
        if isinstance(node, exp.Alias) and not isinstance(node.parent, exp.Join):
            scope.aliases.setdefault(node.alias, []).append(node)
    for inner in _elsewhere(query, visited):
        _visit(inner, seen, scope, found)
    return _outputs(scope)


def _elsewhere(select: exp.Select, visited: Sequence[exp.Expr]) -> Iterator[exp.Expr]:
    """The queries inside a SELECT that are neither its sources nor its WITH."""

    def ends(node: exp.Expr) -> bool:
        return node is not select and (isinstance(node, exp.Query) or any(node is one for one in visited))

    for node in select.walk(prune=ends):
        if ends(node) and not any(node is one for one in visited):
            yield node


def _sources(select: exp.Select) -> Iterator[exp.Expr]:
    if select.args.get("from_"):
        yield select.args["from_"].this
    for join in select.args.get("joins") or ():
        if join.args.get("kind") == "ARRAY":
            yield from (join.this, *join.expressions)
        else:
            yield join.this


def _outputs(scope: Scope) -> Columns:
    names: list[str] = []
    for one in scope.select.expressions:
        inner = one.unalias()
        if isinstance(inner, exp.Star) or (isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)):
            wanted = [inner.table] if isinstance(inner, exp.Column) and inner.table else list(scope.sources)
            if inner.args.get("except_") or inner.args.get("replace") or not scope.sources:
                return None
            for name in wanted:
                columns = scope.sources.get(name)
                if columns is None:
                    return None
                names += columns
        else:
            names.append(one.alias_or_name or one.sql(dialect="clickhouse"))
    return names
