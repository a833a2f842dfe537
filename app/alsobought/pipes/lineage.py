"""Column lineage of a pipe: the table columns behind each column of its answer, and its macros.

It is only displayed: a text that sqlglot cannot analyse still has its tables, and no pipe fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import dropwhile

import sqlglot
from jinja2 import Environment, nodes
from sqlglot import exp
from sqlglot.lineage import lineage as lineage_of
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import build_scope, traverse_scope

from alsobought.pipes.functions import DICTIONARIES
from alsobought.pipes.library import Library, Pipe
from alsobought.pipes.scopes import Schema

log = logging.getLogger(__name__)

MAX_NODES = 20_000  # of the tree after expansion: a larger graph would be unreadable


@dataclass(frozen=True)
class Lineage:
    """What a pipe reads. If `followed` is false, sqlglot could not analyse it, and all lists of columns are empty.

    tables: {table or dictionary: its columns anywhere in the text}
    columns: {column of the answer: the "table.column" of its values}; empty for count()
    macros: {macro file or CSV file: used names}
    """

    tables: dict[str, list[str]]
    columns: dict[str, list[str]]
    macros: dict[str, list[str]] = field(default_factory=dict)
    followed: bool = True


def lineage(pipe: Pipe, schema: Schema) -> Lineage:
    """The lineage of a valid pipe, without its optional parameters and with all of them together."""
    needed = [parameter.name for parameter in pipe.parameters if not parameter.optional]
    texts = dict.fromkeys((pipe.sql(needed), pipe.sql([parameter.name for parameter in pipe.parameters])))
    tables: dict[str, set[str]] = {table: set() for table in pipe.tables}
    columns: dict[str, set[str]] = {name: set() for name, _ in pipe.columns}
    followed = True
    for sql in texts:
        tree = sqlglot.parse_one(sql, dialect="clickhouse")
        for table, _ in _dictionary_reads(tree):
            tables.setdefault(table, set())
        try:
            qualified = _qualified(tree, schema)
            reads = [*_table_reads(qualified, schema), *_dictionary_reads(qualified)]
            all_sources = _column_sources(qualified, schema)
            sources_of = {name: all_sources[name] for name, _ in pipe.selected if name in columns}
        except Exception as error:  # sqlglot knows only a part of the dialect, and raises many kinds
            log.debug("the lineage of %s cannot be analysed: %s", pipe.name, error)
            followed = False
            continue
        for table, column in reads:
            tables.setdefault(table, set()).add(column)
        for name, sources in sources_of.items():
            columns[name].update(sources)
    return Lineage(  # a partial lineage would look complete
        {table: sorted(tables[table]) if followed else [] for table in sorted(tables)},
        {name: sorted(sources) if followed else [] for name, sources in columns.items()},
        _macros(pipe),
        followed,
    )


def sharing(library: Library, pipe: Pipe) -> dict[str, list[str]]:
    """{macro file: the other pipes that use it}, for the macro files of this pipe."""
    users: dict[str, list[str]] = {name: [] for name in _macros(pipe)}
    for name in library.names():
        other = library.entry(name).pipe
        for macro_file in _macros(other) if other and name != pipe.name else ():
            if macro_file in users:
                users[macro_file].append(name)
    return users


def _qualified(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """The tree with every column qualified by its table or sub-query."""
    _inline_scalars(tree)
    _inline_array_joins(tree)
    typed: dict[str, object] = {table: dict.fromkeys(columns, "String") for table, columns in schema.items()}
    qualified = qualify(tree, dialect="clickhouse", schema=typed, validate_qualify_columns=False, identify=False)
    if sum(1 for _ in qualified.walk()) > MAX_NODES:
        raise ValueError("the text is too large")
    return qualified


def _inline_scalars(tree: exp.Expr) -> None:
    """Replace each y by the scalar of `with x + 1 as y`: sqlglot's scopes only know tables in a WITH."""
    for clause in tree.find_all(exp.With):
        values = {cte.alias: cte for cte in clause.expressions if cte.args.get("scalar")}
        for name, cte in values.items():
            for column in list((clause.parent or tree).find_all(exp.Column)):
                if column.name == name and not column.table:
                    column.replace(exp.paren(cte.this.copy(), copy=False))
            cte.pop()
            if sum(1 for _ in tree.walk()) > MAX_NODES:
                raise ValueError("the text is too large")
        if not clause.expressions:
            clause.pop()


def _inline_array_joins(tree: exp.Expr) -> None:
    """Replace each one.events of `array join items as one` by items: sqlglot's scopes take `one` for a table.

    A sub-column `history.items.events` becomes its column.
    """
    for column in list(tree.find_all(exp.Column)):
        if column.args.get("db"):
            column.replace(exp.column(column.args["table"].copy(), column.args["db"].copy()))
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        arrays = [join for join in joins if join.args.get("kind") == "ARRAY"]
        values = {part.alias: part.this for join in arrays for part in [join.this, *join.expressions] if part.alias}
        for column in list(select.find_all(exp.Column)) if values else []:
            name = column.table or column.name
            if name in values and column.find_ancestor(exp.Select) is select:
                value: exp.Expr = exp.paren(values[name].copy(), copy=False)
                column.replace(exp.alias_(value, column.name) if column.parent is select else value)
        select.set("joins", [join for join in joins if join not in arrays])


def _table_reads(tree: exp.Expr, schema: Schema) -> Iterator[tuple[str, str]]:
    """Every (table, column) in the text."""
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and column.name in schema.get(source.name, ()):
                yield source.name, column.name


def _dictionary_reads(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    """Reads of dictionaries: dictGet('catalogue', 'title', key) reads catalogue.title."""
    for call in tree.find_all(exp.Func):
        name = str(call.this if isinstance(call, exp.Anonymous) else call.sql_name()).lower()
        literals = [part.name for part in call.iter_expressions() if isinstance(part, exp.Literal) and part.is_string]
        if name in DICTIONARIES and len(literals) > 1:
            yield literals[0], literals[1]


def _column_sources(tree: exp.Expr, schema: Schema) -> dict[str, list[str]]:
    """{column of the answer: its "table.column"s}"""
    result: dict[str, list[str]] = {}
    steps = lineage_of(None, tree, {}, scope=build_scope(tree), dialect="clickhouse", copy=False, trim_selects=False)
    for name, first in steps.items():
        sources: set[str] = set()
        for step in first.walk():
            sources.update(f"{table}.{column}" for table, column in _dictionary_reads(step.expression))
            if isinstance(step.expression, exp.Table):
                table, column = step.expression.name, step.name.rpartition(".")[2].strip('"')
                sources.update({f"{table}.{column}"} if column in schema.get(table, ()) else ())
        result[name] = sorted(sources)
    return result


def _macros(pipe: Pipe) -> dict[str, list[str]]:
    """The imported macros and literals that the pipe itself uses, and its CSV files."""
    body = "".join(dropwhile(lambda line: line.startswith("--"), pipe.text.splitlines(keepends=True)))
    parsed = Environment(autoescape=False).parse(body)  # noqa: S701 - it is not rendered
    used = {name.name for name in parsed.find_all(nodes.Name) if name.ctx == "load"}
    macros: dict[str, set[str]] = {}
    for imported in parsed.find_all(nodes.FromImport):
        if isinstance(imported.template, nodes.Const):
            pairs = [(name, name) if isinstance(name, str) else name for name in imported.names]
            macros.setdefault(str(imported.template.value), set()).update(
                name for name, local_name in pairs if local_name in used
            )
    for name in pipe.csv_files:  # also through a macro
        macros[name] = {name.removesuffix(".csv")}
    return {name: sorted(macros[name]) for name in sorted(macros)}
