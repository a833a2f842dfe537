"""Is a rendered text one read-only SELECT over the project's own tables? Read from the text; the engine is asked later.

An allow-list, because the engine's own read-only mode lets scalar functions read files: what is not listed is refused, be it
a function (functions.py, calls.py), a table, or a word that is no name in scope (names.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alsobought.errors import PipeFault
from alsobought.pipes.calls import unlisted, unwritten
from alsobought.pipes.columns import place_of
from alsobought.pipes.lexemes import NOTHING, Lexeme, Unreadable, lexemes
from alsobought.pipes.names import KEYWORDS, TYPES, names, untold
from alsobought.pipes.order import tells_apart
from alsobought.pipes.scopes import Scope, scopes
from alsobought.pipes.source_map import Places
from alsobought.pipes.template import placeholders

PARAMETER_WORD = re.compile(r"\b[a-z]\w*(?![\w ]*')")  # not those in quotes: zones of times
UNREADABLE = "the SQL cannot be read"


class _Text:
    """A rendered text, and the faults found in it so far."""

    def __init__(self, sql: str, tables: Collection[str], places: Places, databases: Collection[str] = ()) -> None:
        self.sql, self.tables, self.places, self.databases = sql, tables, places, databases
        self.faults: list[PipeFault] = []

    def fault(self, at: int, message: str, hint: str = "") -> PipeFault:
        return self.places.fault(self.sql, at, message, hint)

    def note(self, at: int, message: str, hint: str = "") -> None:
        self.faults.append(self.fault(at, message, hint))


@dataclass(frozen=True)
class Checked:
    """A text that may run: its tree, and what each of its SELECTs sees."""

    tree: exp.Query
    scopes: list[Scope]


def check(sql: str, tables: Collection[str], places: Places = Places()) -> exp.Query:  # noqa: B008 - frozen
    """The parsed text, if it may run. `tables`: a Schema, or the names of tables where their columns do not matter.

    Raises PipeFault that names what is not allowed and, where it can be told, the line; `others` has the further ones.
    """
    return checked(sql, tables, places).tree


def checked(
    sql: str,
    tables: Collection[str],
    places: Places = Places(),  # noqa: B008 - frozen
    parameters: Collection[str] = (),
) -> Checked:
    """The same with its scopes; `parameters` may be taken for columns by who forgets the braces."""
    return _checked(_Text(sql, tables, places), parameters)


def check_query(sql: str, tables: Collection[str], places: Places, databases: Collection[str]) -> None:
    """The same for a query that is no pipe: a UNION, without an order or a limit, `databases` in front of its tables.

    Raises PipeFault.
    """
    _checked(_Text(sql, tables, places, databases))


def _checked(text: _Text, parameters: Collection[str] = ()) -> Checked:
    read = _lexemes(text)
    code = [lexeme for lexeme in read if lexeme.kind not in ("space", "comment")]
    own = {f"{database}.{table}" for database in text.databases for table in text.tables} or text.tables
    for finding in (*unlisted(code), *unwritten(code, own)):
        text.note(finding.at, finding.message, finding.hint)
    try:
        tree = _one_select(text, "".join(_without_comment(lexeme) for lexeme in read))
    except PipeFault as fault:
        raise PipeFault.together([*text.faults, fault]) from fault
    try:
        found = _looked_at(text, code, tree, parameters)
    except (AttributeError, IndexError, TypeError) as error:  # of a tree that lacks what its grammar promises
        raise PipeFault.together([*text.faults, PipeFault(UNREADABLE)]) from error
    if text.faults:
        raise PipeFault.together(text.faults)
    return Checked(tree, found)


def _looked_at(text: _Text, code: list[Lexeme], tree: exp.Query, parameters: Collection[str]) -> list[Scope]:
    for select in tree.find_all(exp.Query):
        for clause in ("settings", "format", "into", "locks"):
            if select.args.get(clause):
                text.note(_word(code, clause), f"{clause.upper()} does not belong in a pipe", "The service sets it")
    _only_own_tables(text, tree)
    if isinstance(tree, exp.Select) and not text.databases:
        _ordered_and_limited(text, tree)
    found = scopes(tree, text.tables if isinstance(text.tables, Mapping) else {})
    if not text.faults:  # a table that is not there would be told again with each of its columns
        _only_known_names(text, code, found, parameters)
    return found


def _word(code: list[Lexeme], word: str) -> int:
    return next((lexeme.at for lexeme in code if lexeme.text.lower() == word), 0)


def _lexemes(text: _Text) -> list[Lexeme]:
    try:
        found = lexemes(text.sql)
    except Unreadable as error:
        raise text.fault(error.at, error.message, error.hint) from error
    for lexeme in found:
        _nothing_hidden(text, lexeme)
    return found


def _nothing_hidden(text: _Text, lexeme: Lexeme) -> None:
    if lexeme.kind in ("string", "comment") and (found := placeholders(lexeme.text)):
        raise text.fault(lexeme.at, f"{{{{ {min(found)} }}}} stands inside quotes or a comment", "Take the quotes away")
    if lexeme.kind == "comment" and "/*" in lexeme.text[2:]:
        raise text.fault(lexeme.at, "a comment stands inside a comment", "Leave one of them out")
    if lexeme.kind == "parameter" and not set(PARAMETER_WORD.findall(lexeme.text.partition(":")[2].lower())) <= TYPES:
        raise text.fault(lexeme.at, f"{lexeme.text} has no type of a value", "A parameter is a value and never a name")


def _without_comment(lexeme: Lexeme) -> str:
    """Characters keep their places: the parser tells them."""
    return re.sub(r"[^\n]", " ", lexeme.text) if lexeme.kind == "comment" else lexeme.text


def _only_known_names(text: _Text, code: list[Lexeme], found: list[Scope], parameters: Collection[str]) -> None:
    places, unknown = names(found)
    for finding in unknown:
        name = finding.message.rpartition(" ")[2]
        hint = f"Write {{{{ {name} }}}} for the parameter" if name in parameters else finding.hint
        text.note(finding.at, finding.message, hint)
    for word, after in zip(code, [*code[1:], NOTHING], strict=False):
        if not word.is_name or word.at in places or after.text == "(":
            continue
        if word.kind == "quoted" or word.name not in KEYWORDS:
            hint = "It is neither a column, an alias or an argument that can be seen here, nor a keyword of a pipe"
            text.note(word.at, f"{word.text} means nothing here", hint)
    if isinstance(text.tables, Mapping):
        for source, select in untold(found):
            text.note(place_of(select), f"the columns of {source} cannot be told", "Name them, in place of *")


def _one_select(text: _Text, sql: str) -> exp.Query:
    try:
        trees = sqlglot.parse(sql, dialect="clickhouse", error_level=sqlglot.ErrorLevel.RAISE)
    except RecursionError as error:
        raise PipeFault("nested too deeply", "Name the inner parts in a WITH") from error
    except (AttributeError, IndexError, TypeError) as error:  # sqlglot's own, of texts that are no SQL
        raise PipeFault(UNREADABLE) from error
    except SqlglotError as error:
        line, column = _error_place(error)
        at = sum(len(one) + 1 for one in sql.split("\n")[: line - 1]) + column
        hint = "Look at this line and the end of the one before it" if line else ""
        fault = text.fault(at, f"the SQL cannot be read: {_plain(error)}", hint)
        raise fault if line else PipeFault(fault.message) from error
    if len(trees) != 1 or trees[0] is None:
        raise PipeFault("there is no SELECT in it", "select … from … order by … limit {{ limit }}")
    tree = trees[0]
    if text.databases and isinstance(tree, exp.Query):
        return tree
    if isinstance(tree, exp.SetOperation):  # the engine would order and limit its last part only
        raise PipeFault("a pipe ends in one SELECT", "Put the union into a sub-query and select from it")
    if not isinstance(tree, exp.Select):
        raise PipeFault(f"a pipe is a SELECT, not {sql.split(maxsplit=1)[0].upper()}", "It only reads")
    return tree


def _only_own_tables(text: _Text, tree: exp.Query) -> None:
    named = _named(tree)
    for table in tree.find_all(exp.Table):
        at = place_of(table)
        written = table.sql(dialect="clickhouse")
        if not isinstance(table.this, exp.Identifier):
            text.note(at, f"{written} is a table function", "Read the project's tables")
        elif table.args.get("catalog") or table.text("db") not in ("", *text.databases):
            text.note(at, f"{written}: leave the database out", "Write the table's name alone")
        elif table.name not in named and table.name not in text.tables:
            near = get_close_matches(table.name, [*text.tables, *named], n=1, cutoff=0.7)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(_readable(text.tables))}"
            if table.name in {cte.alias for cte in tree.find_all(exp.CTE)}:
                hint = "It is one value: write its name where the value goes"
            text.note(at, f"there is no table {table.name}", hint)
    for listed in tree.find_all(exp.In):  # `x in system.one` reads a table that looks like a column
        for side in (listed.args.get("field"), *listed.expressions):
            if isinstance(column := side and side.unnest(), exp.Column) and column.table:
                said = f"in {column.sql(dialect='clickhouse')}"
                text.note(place_of(column), said, "Write a sub-query: in (select … from …)")


def _ordered_and_limited(text: _Text, tree: exp.Select) -> None:
    limit = tree.args.get("limit")
    end = len(text.sql.rstrip())
    if not limit or limit.expressions:  # LIMIT … BY holds back some rows of each group, not the answer
        text.note(end, "the last SELECT has no LIMIT", "End it with: limit {{ limit }}")
    order = tree.args.get("order")
    if not order:
        text.note(end, "the last SELECT has no ORDER BY", "An answer is repeatable: order by score desc, item_id")
    elif not tells_apart(tree):
        text.note(
            place_of(order.expressions[-1]) or end,
            "the last ORDER BY leaves equal rows in any order",
            "End it with what tells rows apart, a key of the answer: order by score desc, item_id",
        )


def tables_of(tree: exp.Expr) -> list[str]:
    """The tables a checked text reads, sorted."""
    named = _named(tree)
    return sorted({table.name for table in tree.find_all(exp.Table) if table.name not in named})


def _readable(tables: Collection[str]) -> list[str]:
    """The tables that a pipe would read; not the views that feed them."""
    return sorted(name for name in tables if not name.endswith("_mv"))


def _named(tree: exp.Expr) -> set[str]:
    """The sub-queries that a WITH names; what it names as one value is no table."""
    return {cte.alias for cte in tree.find_all(exp.CTE) if not cte.args.get("scalar")}


def _plain(error: Exception) -> str:
    """What sqlglot says, without its colours, its place and its classes."""
    first = str(error).split("\n", 1)[0].replace("\x1b[4m", "").replace("\x1b[0m", "")
    if missing := re.search(r"Required keyword: .* missing for <class '[\w.]*\.(\w+)'>", first):
        return f"something is missing in {missing[1].upper()}"
    return re.sub(r"\.? Line \d+, Col: \d+\.*$", "", first)


def _error_place(error: Exception) -> tuple[int, int]:
    """Line, from 1, and column, from 0, of what the parser could not read; line 0 if it does not say."""
    told = (getattr(error, "errors", None) or [{}])[0]
    line, end, word = told.get("line") or 0, told.get("col") or 0, told.get("highlight") or ""
    return int(line), max(0, int(end) - len(word))
