"""Check that an ORDER BY breaks all ties; otherwise equal rows change their order between answers.

The check only reads the text. An ORDER BY passes if it ends in a key (`…_id`, `…_key`), or if it contains
all columns of a GROUP BY, DISTINCT or row_number(), in this SELECT or in the sub-query that it reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlglot import exp

KEY_SUFFIXES = ("id", "key")
Query = exp.Expr
UniqueKeys = list[frozenset[str]]
"""Sets of columns, each of which is unique in the rows of a query. An empty set: there is one row."""


def breaks_ties(select: exp.Select) -> bool:
    """True if the ORDER BY of this SELECT leaves no ties."""
    order = list(_order_expressions(select))
    if not order:
        return False
    last = order[-1]
    names = {name for expression in order for name in _names(select, expression)}
    if "all" in names or _is_key(select, last):
        return True
    return any(keys <= names for keys in (*_unique_keys(select, {}), _outputs(select)))


def _order_expressions(select: exp.Select) -> Iterator[exp.Expr]:
    for ordered in select.args["order"].expressions if select.args.get("order") else ():
        key = ordered.this.unnest()
        yield from (part.unnest() for part in (key.expressions if isinstance(key, exp.Tuple) else [key]))


def _is_key(select: exp.Select, key: exp.Expr) -> bool:
    """True for a column called `item_id`, `other_item_key`, `id` …, or with such an alias."""
    own = _names(select, key)
    same = [output for output in select.expressions if output.alias_or_name in own]
    columns = [column for column in (key, *(output.unalias() for output in same)) if isinstance(column, exp.Column)]
    names = [*(column.name for column in columns), *(output.alias_or_name for output in same)]
    return any(name.lower().rpartition("_")[2] in KEY_SUFFIXES for name in names)


def _names(select: exp.Select, key: exp.Expr) -> set[str]:
    """The names of an expression in a SELECT: its text, its column and its aliases."""
    if isinstance(key, exp.Literal) and not key.is_string and key.name.isdigit():
        index = int(key.name[:6]) - 1
        if not 0 <= index < len(select.expressions):
            return set()
        key = select.expressions[index]
    plain = key.unalias()
    names = {plain.name} if isinstance(plain, exp.Column) else {_text(plain)}
    for output in select.expressions:
        alias, inner = output.alias_or_name, output.unalias()
        text = inner.name if isinstance(inner, exp.Column) else _text(inner)
        if alias in names or text in names:
            names |= {alias, text}
    return names


def _text(expression: exp.Expr) -> str:
    """The text of an expression, cached in the tree, which does not change meanwhile."""
    if "text" not in expression.meta:
        expression.meta["text"] = expression.sql(dialect="clickhouse")
    return str(expression.meta["text"])


def _outputs(select: exp.Select) -> frozenset[str]:
    return frozenset(output.alias_or_name or _text(output) for output in select.expressions)


def _unique_keys(query: Query, outer: Mapping[str, Query]) -> UniqueKeys:
    """The unique keys of a query's rows, as names of its expressions or outputs."""
    if not isinstance(query, exp.Select):
        return []
    queries = dict(outer)
    for cte in query.args["with_"].expressions if query.args.get("with_") else ():
        if not cte.args.get("scalar"):
            queries[cte.alias] = cte.this
    if any(_multiplies_rows(output) for output in query.expressions):
        return []
    unique: UniqueKeys = []
    group = query.args.get("group")
    if (
        group
        and group.expressions
        and not any(group.args.get(modifier) for modifier in ("rollup", "cube", "grouping_sets"))
    ):
        unique.append(frozenset(_output_name(_names(query, key), query) for key in group.expressions))
    elif not group and (_aggregates_all(query) or _reads_no_table(query)):
        unique.append(frozenset())
    elif not group and (source := _only_source(query, queries)) is not None:
        unique += [key for key in _unique_keys(source, queries) if all(_keeps_name(query, name) for name in key)]
    if query.args.get("distinct") and not query.args["distinct"].args.get("on"):
        unique.append(_outputs(query))
    unique += [frozenset([output.alias]) for output in query.expressions if _is_row_number(output)]
    limit = query.args.get("limit")
    if limit and limit.expressions and limit.expression.name == "1":
        unique.append(frozenset(_output_name(_names(query, key), query) for key in limit.expressions))
    return unique


def _output_name(names: set[str], select: exp.Select) -> str:
    """The one of several names that is an output, or else the first."""
    outputs = _outputs(select)
    return min(names & outputs or names, default="")


def _aggregates_all(select: exp.Select) -> bool:
    """True for a SELECT with aggregates; the caller checks that it has no GROUP BY."""
    return any(
        isinstance(node, exp.AggFunc) and not isinstance(node.parent, exp.Window)
        for output in select.expressions
        for node in output.walk(prune=lambda node: isinstance(node, (exp.Select, exp.Window)))
    )


def _reads_no_table(select: exp.Select) -> bool:
    return not select.args.get("from_") and not select.args.get("joins")


def _multiplies_rows(expression: exp.Expr) -> bool:
    return "arrayjoin(" in _text(expression).lower()


def _only_source(select: exp.Select, queries: Mapping[str, Query]) -> Query | None:
    source = select.args["from_"].this if select.args.get("from_") and not select.args.get("joins") else None
    if isinstance(source, exp.Subquery):
        return source.unnest()
    return queries.get(source.name) if isinstance(source, exp.Table) else None


def _keeps_name(select: exp.Select, name: str) -> bool:
    """True unless the SELECT gives the name of this column to another expression."""
    same = [output.unalias() for output in select.expressions if output.alias == name]
    return all(isinstance(inner, exp.Column) and inner.name == name for inner in same)


def _is_row_number(output: exp.Expr) -> bool:
    inner = output.unalias()
    return (
        isinstance(inner, exp.Window)
        and isinstance(inner.this, exp.RowNumber)
        and not inner.args.get("partition_by")
        and bool(output.alias)
    )
