"""Names of columns, right and wrong: aliases that hide a column, and names that nothing has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from sqlglot import exp

from alsobought.pipes.scopes import Scope

CLAUSES = {"where": "WHERE", "prewhere": "PREWHERE", "group": "GROUP BY", "joins": "JOIN", "having": "HAVING"}
CERTAIN = ("where", "prewhere", "group", "joins")  # there an author means the column, and ClickHouse takes the alias
CONSTANTS = ("nan", "inf")  # for sqlglot they are columns
OWN_NAME = "In ClickHouse the alias wins, and the answer is quietly another one"


@dataclass(frozen=True)
class Finding:
    """Something at a character of the rendered text; `certain`: the pipe must not run so."""

    at: int
    message: str
    hint: str
    certain: bool = True


def place_of(node: exp.Expr) -> int:
    """Where a name or a function begins in the text; 0 where sqlglot does not say."""
    if "start" in node.meta:
        return int(node.meta["start"])
    return min((int(one.meta["start"]) for one in node.find_all(exp.Identifier) if "start" in one.meta), default=0)


def hidden_columns(found: list[Scope]) -> Iterator[Finding]:
    """Expressions that carry the name of a column their SELECT reads, where that name is used again."""
    for scope in found:
        for name, named in scope.aliases.items():
            holders = [source for source, columns in scope.sources.items() if columns and name in columns]
            if not holders or all(_is_that_column(one, name) for one in named):
                continue
            clauses = [clause for node in _uses(scope, name, named) if (clause := _clause(scope.select, node))]
            certain = [clause for clause in clauses if clause in CERTAIN]
            if not clauses:
                continue
            where = CLAUSES.get((certain or clauses)[0], "another expression")
            column = f"{holders[0]}.{name}" if holders[0].isidentifier() else name
            yield Finding(
                place_of(named[0].args["alias"]),
                f"{name} is a column of {holders[0]} and here the name of an expression too, and {where} uses it",
                f"{OWN_NAME}: give the expression another name, or write {column} for the column",
                bool(certain),
            )


def _is_that_column(named: exp.Expr, name: str) -> bool:
    inner = named.this.unnest()
    return isinstance(inner, exp.Column) and inner.name == name


def _uses(scope: Scope, name: str, named: list[exp.Expr]) -> Iterator[exp.Column]:
    """The bare name, wherever this SELECT has it outside the expression itself."""
    for node in scope.nodes():
        if isinstance(node, exp.Column) and node.name == name and not node.table:
            parents = iter(_parents(node))
            if not any(parent is one for parent in parents for one in named):
                yield node


def _parents(node: exp.Expr) -> Iterator[exp.Expr]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _clause(select: exp.Select, node: exp.Expr) -> str:
    """The part of the SELECT in which something stands; empty for ORDER BY and LIMIT, where everybody means the alias,
    and for a column of the answer that is nothing but the name.
    """
    while node.parent is not select:
        if node.parent is None:
            return ""
        node = node.parent
    clause = node.arg_key or ""
    if clause == "expressions" and isinstance(node.unalias(), exp.Column):
        return ""
    return "" if clause in ("order", "limit") else clause


def unknown_columns(found: list[Scope]) -> Iterator[tuple[str, int, str]]:
    """The names that no table, alias or argument has: name, place in the text, and what was meant or could be."""
    for scope in found:
        for node in scope.nodes():
            if isinstance(node, exp.Column) and not is_known(scope, node):
                yield _path(node), place_of(node), meant(scope, node)


def is_known(scope: Scope, column: exp.Column) -> bool:
    """Whether a column of this name can be read here; true where it cannot be told."""
    first, *rest = parts = column.parts
    if not rest:
        return isinstance(first, exp.Star) or _is_known_name(scope, column)
    read, columns = scope.source(first.name)
    if not read:
        return scope.sees(first.name)  # a part of a tuple
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
    """Whether a lambda around it has an argument of this name."""
    return any(
        isinstance(parent, exp.Lambda) and any(argument.name == name for argument in parent.expressions)
        for parent in _parents(node)
    )


def _path(column: exp.Column) -> str:
    return ".".join(part.name for part in column.parts)


def meant(scope: Scope, column: exp.Column) -> str:
    """Did you mean …? or: There are …"""
    first, *rest = [part.name for part in column.parts]
    read, columns = scope.source(first) if rest else (False, None)
    if rest and not read:
        tables = [name for name in scope.sources if name.isidentifier()]
        return f"The tables here are called {', '.join(tables)}" if tables else ""
    names = columns if columns is not None else scope.names()
    near = get_close_matches(rest[0] if rest else first, names, n=1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"There are {', '.join(names[:30])}{' …' if len(names) > 30 else ''}" if names else ""
