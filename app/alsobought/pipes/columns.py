"""Find wrong column names: aliases that hide a column, and names that no table has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from sqlglot import exp

from alsobought.pipes.scopes import Scope

CLAUSES = {"where": "WHERE", "prewhere": "PREWHERE", "group": "GROUP BY", "joins": "JOIN", "having": "HAVING"}
FAULT_CLAUSES = ("where", "prewhere", "group", "joins")  # the author means the column, ClickHouse takes the alias
CONSTANTS = ("nan", "inf")  # sqlglot parses them as columns


@dataclass(frozen=True)
class Finding:
    """A fault, or else a warning, at an offset of the rendered text."""

    offset: int
    message: str
    hint: str
    is_fault: bool = True


def offset_of(node: exp.Expr) -> int:
    """The offset of a name or function in the text; 0 if sqlglot does not report one."""
    if "start" in node.meta:
        return int(node.meta["start"])
    starts = (identifier.meta.get("start") for identifier in node.find_all(exp.Identifier))
    return min((int(start) for start in starts if start is not None), default=0)


def hidden_columns(scopes: list[Scope]) -> Iterator[Finding]:
    """Aliases with the name of a column that their SELECT reads, if the name is used elsewhere in it."""
    for scope in scopes:
        for name, aliased in scope.aliases.items():
            sources = [source for source, columns in scope.sources.items() if columns and name in columns]
            if not sources or all(_is_column(alias, name) for alias in aliased):
                continue
            clauses = [clause for node in _uses(scope, name, aliased) if (clause := _clause(scope.select, node))]
            if not clauses:
                continue
            faults = [clause for clause in clauses if clause in FAULT_CLAUSES]
            user = CLAUSES.get((faults or clauses)[0], "another expression")
            column = f"{sources[0]}.{name}" if sources[0].isidentifier() else name
            yield Finding(
                offset_of(aliased[0].args["alias"]),
                f"the alias {name} hides a column of {sources[0]}, and {user} uses it",
                f"ClickHouse takes the alias: rename it, or write {column} for the column",
                bool(faults),
            )


def _is_column(alias: exp.Expr, name: str) -> bool:
    inner = alias.this.unnest()
    return isinstance(inner, exp.Column) and inner.name == name


def _uses(scope: Scope, name: str, aliased: list[exp.Expr]) -> Iterator[exp.Column]:
    """The unqualified name in this SELECT, outside the aliased expressions."""
    for node in scope.nodes():
        if not isinstance(node, exp.Column) or node.name != name or node.table:
            continue
        if not any(parent is alias for parent in _parents(node) for alias in aliased):
            yield node


def _parents(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _clause(select: exp.Select, node: exp.Expr) -> str:
    """The clause of the SELECT that contains a node.

    Empty for ORDER BY and LIMIT, where the alias is meant, and for an output column that is only
    the name.
    """
    while node.parent is not select:
        if node.parent is None:
            return ""
        node = node.parent
    clause = node.arg_key or ""
    if clause == "expressions" and isinstance(node.unalias(), exp.Column):
        return ""
    return "" if clause in ("order", "limit") else clause


def unknown_columns(scopes: list[Scope]) -> Iterator[tuple[str, int, str]]:
    """Names that are no column, alias or argument: name, offset and suggestion."""
    for scope in scopes:
        for node in scope.nodes():
            if isinstance(node, exp.Column) and not is_known(scope, node):
                yield qualified_name(node), offset_of(node), suggest_column(scope, node)


def is_known(scope: Scope, column: exp.Column) -> bool:
    """True if a column of this name can be read here, or if its source has unknown columns."""
    first, *rest = parts = column.parts
    if not rest:
        return isinstance(first, exp.Star) or _is_known_name(scope, column)
    is_source, columns = scope.source(first.name)
    if not is_source:
        return scope.sees(first.name)  # a field of a tuple
    return columns is None or isinstance(parts[1], exp.Star) or parts[1].name in columns


def _is_known_name(scope: Scope, column: exp.Column) -> bool:
    name, parent = column.name, column.parent
    if scope.sees(name) or is_argument(column, name):
        return True
    if isinstance(parent, exp.In) and column is not parent.this:
        return name in scope.tables  # `in name` reads a table
    if isinstance(parent, exp.Ordered) and name == "all":
        return True
    return name in CONSTANTS and not column.this.args.get("quoted")


def is_argument(node: exp.Expr, name: str) -> bool:
    """True if a lambda around the node has an argument of this name."""
    return any(
        isinstance(parent, exp.Lambda) and any(argument.name == name for argument in parent.expressions)
        for parent in _parents(node)
    )


def qualified_name(column: exp.Column) -> str:
    return ".".join(part.name for part in column.parts)


def suggest_column(scope: Scope, column: exp.Column) -> str:
    """Did you mean …? or: There are …"""
    first, *rest = [part.name for part in column.parts]
    is_source, columns = scope.source(first) if rest else (False, None)
    if rest and not is_source:
        tables = [name for name in scope.sources if name.isidentifier()]
        return f"The tables here are called {', '.join(tables)}" if tables else "The SELECT reads no table of this name"
    names = columns if columns is not None else scope.names()
    near = get_close_matches(rest[0] if rest else first, names, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return (
        f"There are {', '.join(names[:30])}{' …' if len(names) > 30 else ''}" if names else "The SELECT reads no table"
    )
