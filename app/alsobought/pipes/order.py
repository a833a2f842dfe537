"""Does an ORDER BY tell the rows of an answer apart? If it does not, equal rows change places from answer to answer.

Read from the text: an ORDER BY is good that ends in a key (`…_id`, `…_key`), or names everything that a GROUP BY, a
DISTINCT or a row_number() tells rows apart by, here or in the sub-query that the rows come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

KEY = ("id", "key")
Query = exp.Expr
Keys = list[frozenset[str]]
"""Sets of columns, any one of which tells the rows of a query apart; an empty set: there is one row."""


def tells_apart(select: exp.Select) -> bool:
    """Whether the order of this SELECT is the same each time."""
    order = list(_ordered(select))
    if not order:
        return False
    last = order[-1]
    names = {name for key in order for name in _names(select, key)}
    if "all" in names or _is_key(select, last):
        return True
    return any(keys <= names for keys in (*_unique(select, {}), _outputs(select)))


def _ordered(select: exp.Select) -> Iterator[exp.Expr]:
    for ordered in select.args["order"].expressions if select.args.get("order") else ():
        key = ordered.this.unnest()
        yield from (part.unnest() for part in (key.expressions if isinstance(key, exp.Tuple) else [key]))


def _is_key(select: exp.Select, key: exp.Expr) -> bool:
    """A column called `item_id`, `other_item_key`, `id` …, under that name or another."""
    same = [one for one in select.expressions if one.alias_or_name in _names(select, key)]
    columns = [key, *(one.unalias() for one in same)]
    return any(isinstance(one, exp.Column) and one.name.lower().rpartition("_")[2] in KEY for one in columns) or any(
        one.alias_or_name.lower().rpartition("_")[2] in KEY for one in same
    )


def _names(select: exp.Select, key: exp.Expr) -> set[str]:
    """Every name by which an expression is known in a SELECT: as it is written, and as it is called in the answer."""
    if isinstance(key, exp.Literal) and not key.is_string and key.name.isdigit():
        place = int(key.name[:6]) - 1
        if not 0 <= place < len(select.expressions):
            return set()
        key = select.expressions[place]
    plain = key.unalias()
    names = {plain.name} if isinstance(plain, exp.Column) else {_written(plain)}
    for one in select.expressions:
        alias, inner = one.alias_or_name, one.unalias()
        written = inner.name if isinstance(inner, exp.Column) else _written(inner)
        if alias in names or written in names:
            names |= {alias, written}
    return names


def _written(one: exp.Expr) -> str:
    """The text of an expression, made once: nothing changes the tree meanwhile."""
    if "written" not in one.meta:
        one.meta["written"] = one.sql(dialect="clickhouse")
    return str(one.meta["written"])


def _outputs(select: exp.Select) -> frozenset[str]:
    return frozenset(one.alias_or_name or _written(one) for one in select.expressions)


def _unique(query: Query, above: Mapping[str, Query]) -> Keys:
    """What tells the rows of a query apart, in names of its own or of its answer."""
    if not isinstance(query, exp.Select):
        return []
    known = dict(above)
    for cte in query.args["with_"].expressions if query.args.get("with_") else ():
        if not cte.args.get("scalar"):
            known[cte.alias] = cte.this
    if any(_multiplies(one) for one in query.expressions):
        return []
    found: Keys = []
    group = query.args.get("group")
    if group and group.expressions and not any(group.args.get(more) for more in ("rollup", "cube", "grouping_sets")):
        found.append(frozenset(_shortest(_names(query, key), query) for key in group.expressions))
    elif not group and (_one_row(query) or _of_one_row(query)):
        found.append(frozenset())
    elif not group and (source := _only_source(query, known)) is not None:
        found += [keys for keys in _unique(source, known) if all(_kept(query, key) for key in keys)]
    if query.args.get("distinct") and not query.args["distinct"].args.get("on"):
        found.append(_outputs(query))
    found += [frozenset([one.alias]) for one in query.expressions if _is_row_number(one)]
    limit = query.args.get("limit")
    if limit and limit.expressions and limit.expression.name == "1":
        found.append(frozenset(_shortest(_names(query, key), query) for key in limit.expressions))
    return found


def _shortest(names: set[str], select: exp.Select) -> str:
    """The one of several names that the answer has; else as it is written."""
    outputs = _outputs(select)
    return min(names & outputs or names, default="")


def _one_row(select: exp.Select) -> bool:
    """An aggregate of everything."""
    return any(
        isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window)
        for one in select.expressions
        for node in one.walk(prune=lambda node: isinstance(node, (exp.Select, exp.Window)))
    )


def _of_one_row(select: exp.Select) -> bool:
    """A SELECT of no table."""
    return not select.args.get("from_") and not select.args.get("joins")


def _multiplies(one: exp.Expr) -> bool:
    """Whether an expression makes several rows of one."""
    return "arrayjoin(" in _written(one).lower()


def _only_source(select: exp.Select, known: Mapping[str, Query]) -> Query | None:
    source = select.args["from_"].this if select.args.get("from_") and not select.args.get("joins") else None
    if isinstance(source, exp.Subquery):
        return source.unnest()
    return known.get(source.name) if isinstance(source, exp.Table) else None


def _kept(select: exp.Select, key: str) -> bool:
    """A column of a sub-query goes by the same name here unless something else took it."""
    same = [one for one in select.expressions if one.alias == key]
    return all(isinstance(one.unalias(), exp.Column) and one.unalias().name == key for one in same)


def _is_row_number(one: exp.Expr) -> bool:
    inner = one.unalias()
    return (
        isinstance(inner, exp.Window)
        and isinstance(inner.this, exp.RowNumber)
        and not inner.args.get("partition_by")
        and bool(one.alias)
    )
