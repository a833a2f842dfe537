"""Which columns of which tables feed each column of a pipe's answer, and which pipes share its macros.

Read by sqlglot from the text with all optional parameters. It is there to be shown: a text that sqlglot cannot follow still
has its tables, and no pipe fails for it.
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

MAX_NODES = 20_000  # of a text with its aliases and scalar values put in: beyond that nobody would read the picture


@dataclass(frozen=True)
class Lineage:
    """What a pipe reads. `followed` is false where the text is beyond sqlglot: then tables and columns have nothing behind them.

    tables: {table or dictionary: its columns that are read, anywhere in the text}
    columns: {column of the answer: the "table.column" that its values are made of}; a mere count() is made of none
    macros: {macro file: macros used}, and the CSV files that they use
    """

    tables: dict[str, list[str]]
    columns: dict[str, list[str]]
    macros: dict[str, list[str]] = field(default_factory=dict)
    followed: bool = True


def lineage(pipe: Pipe, schema: Schema) -> Lineage:
    """The lineage of a pipe that passed every check: with none of its optional parameters and with all. Raises nothing for a text
    that cannot be followed.
    """
    needed = [parameter.name for parameter in pipe.parameters if not parameter.optional]
    texts = dict.fromkeys((pipe.sql(needed), pipe.sql([parameter.name for parameter in pipe.parameters])))
    tables: dict[str, set[str]] = {table: set() for table in pipe.tables}
    columns: dict[str, set[str]] = {name: set() for name, _ in pipe.columns}
    followed = True
    for sql in texts:
        tree = sqlglot.parse_one(sql, dialect="clickhouse")
        for table, _ in _looked_up(tree):
            tables.setdefault(table, set())
        try:
            qualified = _qualified(tree, schema)
            read = [*_read(qualified, schema), *_looked_up(qualified)]
            fed = _feeding(qualified, schema)
            fed_by = {name: fed[name] for name, _ in pipe.selected}
        except Exception as error:  # of many kinds: what ClickHouse can say is more than any reader of it knows
            log.debug("the lineage of %s cannot be followed: %s", pipe.name, error)
            followed = False
            continue
        for table, column in read:
            tables.setdefault(table, set()).add(column)
        for name, sources in fed_by.items():
            columns[name].update(sources)
    return Lineage(  # half a picture would be taken for the whole
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
    """The text with every column named in full: by its table or the sub-query it comes from."""
    _put_scalars_in(tree)
    typed: dict[str, object] = {table: dict.fromkeys(columns, "String") for table, columns in schema.items()}
    found = qualify(tree, dialect="clickhouse", schema=typed, validate_qualify_columns=False, identify=False)
    if sum(1 for _ in found.walk()) > MAX_NODES:
        raise ValueError("the text is too large")
    return found


def _put_scalars_in(tree: exp.Expr) -> None:
    """`with x + 1 as y`, a value and no table, in place of each y: sqlglot's scopes know only tables there."""
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


def _read(tree: exp.Expr, schema: Schema) -> Iterator[tuple[str, str]]:
    """Every (table, column) that stands anywhere in the text."""
    for scope in traverse_scope(tree):
        for column in scope.columns:
            source = scope.sources.get(column.table)
            if isinstance(source, exp.Table) and column.name in schema.get(source.name, ()):
                yield source.name, column.name


def _looked_up(tree: exp.Expr) -> Iterator[tuple[str, str]]:
    """What dictionaries are asked: dictGet('catalogue', 'title', key) reads catalogue.title."""
    for call in tree.find_all(exp.Func):
        name = str(call.this if isinstance(call, exp.Anonymous) else call.sql_name()).lower()
        literals = [part.name for part in call.iter_expressions() if isinstance(part, exp.Literal) and part.is_string]
        if name in DICTIONARIES and len(literals) > 1:
            yield literals[0], literals[1]


def _feeding(tree: exp.Expr, schema: Schema) -> dict[str, list[str]]:
    """{column of the answer: the "table.column" behind it}"""
    fed: dict[str, list[str]] = {}
    steps = lineage_of(None, tree, {}, scope=build_scope(tree), dialect="clickhouse", copy=False, trim_selects=False)
    for name, first in steps.items():
        found: set[str] = set()
        for step in first.walk():
            found.update(f"{table}.{column}" for table, column in _looked_up(step.expression))
            if isinstance(step.expression, exp.Table):
                table, column = step.expression.name, step.name.rpartition(".")[2].strip('"')
                found.update({f"{table}.{column}"} if column in schema.get(table, ()) else ())
        fed[name] = sorted(found)
    return fed


def _macros(pipe: Pipe) -> dict[str, list[str]]:
    """What `{% from 'catalogue.sql' import item %}` imports, as far as the pipe itself uses it: macros and named literals."""
    body = "".join(dropwhile(lambda line: line.startswith("--"), pipe.text.splitlines(keepends=True)))
    parsed = Environment(autoescape=False).parse(body)  # noqa: S701 - nothing of it is run
    used = {name.name for name in parsed.find_all(nodes.Name) if name.ctx == "load"}
    found: dict[str, set[str]] = {}
    for each in parsed.find_all(nodes.FromImport):
        if isinstance(each.template, nodes.Const):
            pairs = [(name, name) if isinstance(name, str) else name for name in each.names]
            found.setdefault(str(each.template.value), set()).update(name for name, here in pairs if here in used)
    for name in pipe.csv_files:  # also through a macro
        found[name] = {name.removesuffix(".csv")}
    return {name: sorted(found[name]) for name in sorted(found)}
