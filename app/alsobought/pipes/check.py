"""Check that a rendered text is one read-only SELECT over the project's own tables.

The check is an allow-list, because ClickHouse's read-only mode lets scalar functions read files. It covers
functions (functions.py, calls.py), tables, and every other word (names.py). It only reads the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alsobought.errors import PipeFault
from alsobought.pipes.calls import dynamic_names, unlisted_calls
from alsobought.pipes.columns import offset_of
from alsobought.pipes.lexemes import NO_LEXEME, Lexeme, Unreadable, lexemes
from alsobought.pipes.names import KEYWORDS, TYPES, resolve_names, unresolved_sources
from alsobought.pipes.order import breaks_ties
from alsobought.pipes.scopes import Scope, find_scopes
from alsobought.pipes.source_map import SourceMap
from alsobought.pipes.template import placeholders

PARAMETER_WORD = re.compile(r"\b[a-z]\w*(?![\w ]*')")  # not those in quotes: time zones
MAX_FAULTS = 20  # of one text: each takes a search for similar names
MAX_DEPTH = 250  # of brackets
NESTED_HINT = "Name the inner parts in a WITH"
UNPARSABLE = "the SQL cannot be parsed"
UNPARSABLE_HINT = "Look for a missing comma, bracket or name"


class TooManyFaults(Exception):
    """The faults so far are enough."""


class _Text:
    """A rendered text, and its faults so far."""

    def __init__(
        self, sql: str, tables: Collection[str], source_map: SourceMap, databases: Collection[str] = ()
    ) -> None:
        self.sql, self.tables, self.source_map, self.databases = sql, tables, source_map, databases
        self.faults: list[PipeFault] = []

    def fault(self, offset: int, message: str, hint: str = "") -> PipeFault:
        return self.source_map.fault(self.sql, offset, message, hint)

    def add_fault(self, offset: int, message: str, hint: str = "") -> None:
        self.faults.append(self.fault(offset, message, hint))
        if len(self.faults) >= MAX_FAULTS:
            raise TooManyFaults


@dataclass(frozen=True)
class CheckedSql:
    """A text that may run: its tree, and the scope of each SELECT."""

    tree: exp.Query
    scopes: list[Scope]


def check(sql: str, tables: Collection[str], source_map: SourceMap = SourceMap()) -> exp.Query:  # noqa: B008 - frozen
    """The parsed text, if it may run. `tables`: a Schema, or names of tables without a check of columns.

    Raises PipeFault for the first fault, with its line if it is known, and `others` for further ones.
    """
    return check_sql(sql, tables, source_map).tree


def check_sql(
    sql: str,
    tables: Collection[str],
    source_map: SourceMap = SourceMap(),  # noqa: B008 - frozen
    parameters: Collection[str] = (),
) -> CheckedSql:
    """The same with its scopes. `parameters`: an unknown column of such a name gets a hint about missing braces."""
    return _check(_Text(sql, tables, source_map), parameters)


def check_query(sql: str, tables: Collection[str], source_map: SourceMap, databases: Collection[str]) -> None:
    """The same for the query of a learner: it may be a UNION, lack ORDER BY and LIMIT, and qualify tables with `databases`.

    Raises PipeFault.
    """
    _check(_Text(sql, tables, source_map, databases))


def _check(text: _Text, parameters: Collection[str] = ()) -> CheckedSql:
    try:
        return _check_all(text, parameters)
    except TooManyFaults:
        raise PipeFault.together(text.faults) from None
    except RecursionError as error:
        raise PipeFault.together([*text.faults, PipeFault("nested too deeply", NESTED_HINT)]) from error


def _check_all(text: _Text, parameters: Collection[str]) -> CheckedSql:
    all_lexemes = _lexemes(text)
    code = [lexeme for lexeme in all_lexemes if lexeme.kind not in ("space", "comment")]
    own = {f"{database}.{table}" for database in text.databases for table in text.tables} or text.tables
    for finding in chain(unlisted_calls(code), dynamic_names(code, own)):
        text.add_fault(finding.offset, finding.message, finding.hint)
    try:
        tree = _one_select(text, "".join(_without_comment(lexeme) for lexeme in all_lexemes))
    except PipeFault as fault:
        raise PipeFault.together([*text.faults, fault]) from fault
    try:
        scopes = _check_tree(text, code, tree, parameters)
    except (AttributeError, IndexError, TypeError) as error:  # the tree lacks a part that the grammar requires
        raise PipeFault.together([*text.faults, PipeFault(UNPARSABLE, UNPARSABLE_HINT)]) from error
    if text.faults:
        raise PipeFault.together(text.faults)
    return CheckedSql(tree, scopes)


def _check_tree(text: _Text, code: list[Lexeme], tree: exp.Query, parameters: Collection[str]) -> list[Scope]:
    for select in tree.find_all(exp.Query):
        for clause in ("settings", "format", "into", "locks"):
            if select.args.get(clause):
                text.add_fault(
                    _offset_of_word(code, clause), f"{clause.upper()} is not allowed in a pipe", "The service sets it"
                )
    _check_tables(text, tree)
    if isinstance(tree, exp.Select) and not text.databases:
        _check_order_and_limit(text, tree)
    scopes = find_scopes(tree, text.tables if isinstance(text.tables, Mapping) else {})
    if not text.faults:  # an unknown table would be reported again with each of its columns
        _check_names(text, code, scopes, parameters)
    return scopes


def _offset_of_word(code: list[Lexeme], word: str) -> int:
    return next((lexeme.offset for lexeme in code if lexeme.text.lower() == word), 0)


def _lexemes(text: _Text) -> list[Lexeme]:
    try:
        result = lexemes(text.sql)
    except Unreadable as error:
        raise text.fault(error.offset, error.message, error.hint) from error
    depth = 0
    for lexeme in result:
        _check_lexeme(text, lexeme)
        depth += (lexeme.text in ("(", "[")) - (lexeme.text in (")", "]"))
        if depth > MAX_DEPTH:
            raise text.fault(lexeme.offset, "nested too deeply", NESTED_HINT)
    return result


def _check_lexeme(text: _Text, lexeme: Lexeme) -> None:
    if lexeme.kind in ("string", "comment") and (names := placeholders(lexeme.text)):
        raise text.fault(lexeme.offset, f"{{{{ {min(names)} }}}} is inside quotes or a comment", "Remove the quotes")
    if lexeme.kind == "comment" and "/*" in lexeme.text[2:]:
        raise text.fault(lexeme.offset, "a comment is inside a comment", "Remove one of them")
    if lexeme.kind == "parameter" and not set(PARAMETER_WORD.findall(lexeme.text.partition(":")[2].lower())) <= TYPES:
        raise text.fault(
            lexeme.offset, f"{lexeme.text} does not have the type of a value", "A parameter is a value and never a name"
        )


def _without_comment(lexeme: Lexeme) -> str:
    """Spaces in place of a comment, so that offsets stay."""
    return re.sub(r"[^\n]", " ", lexeme.text) if lexeme.kind == "comment" else lexeme.text


def _check_names(text: _Text, code: list[Lexeme], scopes: list[Scope], parameters: Collection[str]) -> None:
    offsets, unknown = resolve_names(scopes)
    for finding in unknown:
        name = finding.message.rpartition(" ")[2]
        hint = f"Write {{{{ {name} }}}} for the parameter" if name in parameters else finding.hint
        text.add_fault(finding.offset, finding.message, hint)
    for word, after in zip(code, [*code[1:], NO_LEXEME], strict=False):
        if not word.is_name or word.offset in offsets or after.text == "(":
            continue
        if word.kind == "quoted" or word.name not in KEYWORDS:
            hint = "It is not a column, alias or argument in scope, nor a keyword that a pipe may use"
            text.add_fault(word.offset, f"the name {word.text} is unknown here", hint)
    if isinstance(text.tables, Mapping):
        for source, select in unresolved_sources(scopes):
            text.add_fault(offset_of(select), f"the columns of {source} are unknown", "List them instead of *")


def _one_select(text: _Text, sql: str) -> exp.Query:
    try:
        trees = sqlglot.parse(sql, dialect="clickhouse", error_level=sqlglot.ErrorLevel.RAISE)
    except (AttributeError, IndexError, TypeError) as error:  # bugs of sqlglot with texts that are not SQL
        raise PipeFault(UNPARSABLE, UNPARSABLE_HINT) from error
    except SqlglotError as error:
        line, column = _error_position(error)
        offset = sum(len(previous) + 1 for previous in sql.split("\n")[: line - 1]) + column
        hint = "Look at this line and the end of the one before it" if line else ""
        fault = text.fault(offset, f"{UNPARSABLE}: {_plain(error)}", hint)
        raise fault if line else PipeFault(fault.message) from error
    if len(trees) != 1 or trees[0] is None:
        raise PipeFault("the pipe has no SELECT", "select … from … order by … limit {{ limit }}")
    tree, start = trees[0], len(sql) - len(sql.lstrip())
    if text.databases and isinstance(tree, exp.Query):
        return tree
    if isinstance(tree, exp.SetOperation):  # ClickHouse would order and limit only its last part
        raise text.fault(
            start, "a pipe must end in one SELECT, not in a UNION", "Select from a sub-query with the union"
        )
    if not isinstance(tree, exp.Select):
        raise text.fault(start, f"a pipe is a SELECT, not {sql.split(maxsplit=1)[0].upper()}", "A pipe only reads")
    return tree


def _check_tables(text: _Text, tree: exp.Query) -> None:
    named = _named_queries(tree)
    for table in tree.find_all(exp.Table):
        offset = offset_of(table)
        name = table.sql(dialect="clickhouse")
        if not isinstance(table.this, exp.Identifier):
            text.add_fault(offset, f"{name} is a table function", "Read the project's tables")
        elif table.args.get("catalog") or table.text("db") not in ("", *text.databases):
            text.add_fault(offset, f"{name}: a database is not allowed", "Write only the name of the table")
        elif table.name not in named and table.name not in text.tables:
            near = get_close_matches(table.name, [*text.tables, *named], n=1, cutoff=0.7)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(_readable(text.tables))}"
            if table.name in {cte.alias for cte in tree.find_all(exp.CTE)}:
                hint = "It is a scalar: use its name as a value"
            text.add_fault(offset, f"there is no table {table.name}", hint)
    for operator in tree.find_all(exp.In):  # `x in system.one` reads a table that looks like a column
        for operand in (operator.args.get("field"), *operator.expressions):
            if isinstance(column := operand and operand.unnest(), exp.Column) and column.table:
                message = f"in {column.sql(dialect='clickhouse')} is not allowed"
                text.add_fault(offset_of(column), message, "Write a sub-query: in (select … from …)")


def _check_order_and_limit(text: _Text, tree: exp.Select) -> None:
    limit = tree.args.get("limit")
    end = len(text.sql.rstrip())
    if not limit or limit.expressions:  # LIMIT … BY limits each group, not the answer
        text.add_fault(end, "the last SELECT has no LIMIT", "End it with: limit {{ limit }}")
    order = tree.args.get("order")
    if not order:
        text.add_fault(
            end, "the last SELECT has no ORDER BY", "Answers must be repeatable: order by score desc, item_id"
        )
    elif not breaks_ties(tree):
        text.add_fault(
            offset_of(order.expressions[-1]) or end,
            "the last ORDER BY does not break ties",
            "End it with a unique key of the answer: order by score desc, item_id",
        )


def tables_of(tree: exp.Expr) -> list[str]:
    """The tables a checked text reads, sorted."""
    named = _named_queries(tree)
    return sorted({table.name for table in tree.find_all(exp.Table) if table.name not in named})


def _readable(tables: Collection[str]) -> list[str]:
    """The tables without the materialized views that feed them."""
    return sorted(name for name in tables if not name.endswith("_mv"))


def _named_queries(tree: exp.Expr) -> set[str]:
    """The names of the sub-queries in a WITH, without its scalars."""
    return {cte.alias for cte in tree.find_all(exp.CTE) if not cte.args.get("scalar")}


def _plain(error: Exception) -> str:
    """The message of sqlglot without colours, position and class names."""
    first = str(error).split("\n", 1)[0].replace("\x1b[4m", "").replace("\x1b[0m", "")
    if missing := re.search(r"Required keyword: .* missing for <class '[\w.]*\.(\w+)'>", first):
        return f"something is missing in {missing[1].upper()}"
    return re.sub(r"\.? Line \d+, Col: \d+\.*$", "", first)


def _error_position(error: Exception) -> tuple[int, int]:
    """Line, from 1, and column, from 0, of a parse error; line 0 if sqlglot does not report one."""
    details = (getattr(error, "errors", None) or [{}])[0]
    line, end, word = details.get("line") or 0, details.get("col") or 0, details.get("highlight") or ""
    return int(line), max(0, int(end) - len(word))
