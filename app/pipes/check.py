"""Is a rendered text one read-only SELECT over the project's own tables? Read from the text; the engine is asked later.

An allow-list, because the engine's own read-only mode lets scalar functions read files: what is not listed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from app.errors import PipeFault
from app.pipes.template import placeholders

FUNCTIONS = frozenset(
    """
    abs any anyLast argMax argMin array arrayAll arrayAvg arrayConcat arrayCount arrayCumSum arrayDistinct
    arrayElement arrayEnumerate arrayExists arrayFilter arrayFirst arrayFirstIndex arrayFlatten arrayIntersect
    arrayJoin arrayLast arrayMap arrayMax arrayMin arrayPopBack arrayPopFront arrayProduct arrayPushBack
    arrayPushFront arrayReduce arrayReverse arrayReverseSort arraySlice arraySort arrayStringConcat arraySum
    arrayUniq arrayZip assumeNotNull avg avgWeighted base64Encode bitAnd bitOr bitXor bitCount cast ceil ceiling
    cityHash64 coalesce concat concatWithSeparator corr cosineDistance count countIf cramersV cume_dist dateAdd
    dateDiff dateSub dateTrunc date_add date_diff date_sub date_trunc dense_rank dictGet dictGetOrDefault
    dictGetOrNull dictHas dotProduct empty endsWith erf exp exp10 exp2 first_value floor formatDateTime
    fromUnixTimestamp64Milli greatest groupArray groupArraySorted groupBitAnd groupBitOr groupUniqArray has hasAll
    hasAny hasToken hex if ifNull indexOf intDiv intDivOrZero isFinite isNaN isNotNull isNull isZeroOrNull joinGet
    joinGetOrNull kurtPop kurtSamp L2Distance L2Norm lag lagInFrame last_value lcase lead leadInFrame least left
    length lengthUTF8 lgamma like ilike log log10 log1p log2 ln lower lowerUTF8 ltrim map mapContains mapKeys
    mapValues match max maxIf maxMap md5 median min minIf minMap minus mod modulo monthName multiIf multiSearchAny
    negate ngramDistance not notEmpty notILike notLike nth_value ntile nullIf parseDateTimeBestEffort percent_rank
    plus position positionCaseInsensitive pow power quantile quantileExact quantiles range rank replaceAll
    replaceOne reverse right round row_number rtrim sigmoid sign sipHash64 splitByChar splitByString sqrt startsWith
    stddevPop stddevSamp substring substringUTF8 sum sumIf sumMap sumWithOverflow tanh timeDiff toDate toDateTime
    toDateTime64 toDayOfMonth toDayOfWeek toFloat32 toFloat64 toHour toInt16 toInt32 toInt64 toInt8 toIntervalDay
    toIntervalHour toIntervalMinute toIntervalMonth toIntervalSecond toIntervalWeek toMinute toMonday toMonth
    toNullable toStartOfDay toStartOfHour toStartOfInterval toStartOfMinute toStartOfMonth toStartOfWeek
    toStartOfYear toString toUInt16 toUInt32 toUInt64 toUInt8 toUnixTimestamp toUnixTimestamp64Milli toYear toYYYYMM
    toYYYYMMDD topK transform trim trimBoth trimLeft trimRight truncate tuple tupleElement ucase uniq uniqCombined
    uniqExact upper upperUTF8 varPop varSamp vectorSum xxHash64 addDays addHours addMinutes addMonths addSeconds
    addWeeks subtractDays subtractHours subtractMinutes subtractMonths subtractSeconds subtractWeeks
    exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedSum
    """.lower().split()
)
# Words that may stand before "(" without being functions.
WORDS = frozenset(
    """
    in as and or not over by on using from join select where having when then else case with exists between like ilike
    union all distinct any interval except intersect limit offset prewhere global array sets filter within is order
    partition qualify tuple if end left right datetime64 decimal nullable
    """.split()  # noqa: SIM905 - words are easier to read than a list of 50 strings
)
# Words that read the clock or the server without brackets, and clauses that a pipe has no use for.
CLOCKS = {"now", "now64", "today", "yesterday", "curdate", "localtime", "localtimestamp"}
CLOCKS |= {"current_date", "current_time", "current_timestamp"}
SERVER = {"user", "current_user", "session_user", "currentuser", "database", "current_database", "currentdatabase"}
SERVER |= {"schema", "currenthandler", "currentrequesturl"}
BARE = CLOCKS | SERVER | {"apply", "into", "outfile"}
DICTIONARIES = {"dictget", "dictgetordefault", "dictgetornull", "dicthas", "joinget", "joingetornull"}

# The lexemes that the engine and sqlglot read alike. Where they differ (curly quotes, $tags$, invisible letters,
# comments in comments, escapes) one could see a comment where the other sees a function: nothing else passes.
LEXEME = re.compile(
    r"""
    (?P<space>[ \t\n]+)
  | (?P<comment>--[^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>"[A-Za-z0-9_ .]+"|`[A-Za-z0-9_ .]+`)
  | (?P<parameter>\{[a-z][a-z0-9_]*:[A-Za-z0-9(),' ]+\})
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)
  | (?P<sign>\|\||/(?![/*])|[-+*%=<>!.,()\[\]:?])
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Lexeme:
    kind: str
    text: str
    line: int


def check(sql: str, tables: Collection[str]) -> exp.Expression:
    """The parsed text, if it may run.

    Raises PipeFault that names what is not allowed and, where it can be told, the line.
    """
    lexemes = _lexemes(sql)
    code = [lexeme for lexeme in lexemes if lexeme.kind not in ("space", "comment")]
    _only_listed_functions(code)
    _only_own_dictionaries(code, tables)
    tree = _one_select("".join(_without_comment(lexeme) for lexeme in lexemes))
    _only_own_tables(tree, tables)
    for select in tree.find_all(exp.Select):
        for clause in ("settings", "format", "into", "locks"):
            if select.args.get(clause):
                raise PipeFault(f"{clause.upper()} does not belong in a pipe", "Leave it out: the service sets it")
    _ordered_and_limited(tree)
    return tree


def _lexemes(sql: str) -> list[Lexeme]:
    found: list[Lexeme] = []
    place, line = 0, 1
    while place < len(sql):
        match = LEXEME.match(sql, place)
        if not match:
            raise PipeFault(f"{sql[place]!r} cannot be read here", _HINTS.get(sql[place], ""), line)
        lexeme = Lexeme(match.lastgroup or "", match[0], line)
        _nothing_hidden(lexeme)
        found.append(lexeme)
        place, line = match.end(), line + match[0].count("\n")
    return found


_HINTS = {
    ";": "A pipe is one statement: take the semicolon away",
    "{": "A parameter is written as {{ name }}, a map as map('key', value)",
    "'": "A quote is never closed",
}


def _nothing_hidden(lexeme: Lexeme) -> None:
    if lexeme.kind in ("string", "comment") and (found := placeholders(lexeme.text)):
        raise PipeFault(
            f"{{{{ {min(found)} }}}} stands inside quotes or a comment", "Take the quotes away", lexeme.line
        )
    if lexeme.kind == "comment" and "/*" in lexeme.text[2:]:
        raise PipeFault("a comment stands inside a comment", line=lexeme.line)


def _without_comment(lexeme: Lexeme) -> str:
    return " " + "\n" * lexeme.text.count("\n") if lexeme.kind == "comment" else lexeme.text


def _only_listed_functions(code: list[Lexeme]) -> None:
    nothing = Lexeme("", "", 0)
    for before, name, after in zip([nothing, *code], code, [*code[1:], nothing], strict=False):
        word = name.text.strip('"`').lower()
        if name.kind not in ("word", "quoted") or (word in WORDS and name.kind == "word"):
            continue
        hint = "Use {{ now }}: the clock is a parameter" if word in CLOCKS else ""
        if after.text == "(" and word not in FUNCTIONS:
            raise PipeFault(f"the function {name.text} is not allowed in a pipe", hint, name.line)
        if word in BARE and name.kind == "word" and before.text != ".":
            raise PipeFault(f"{name.text} is not allowed in a pipe", hint, name.line)


def _only_own_dictionaries(code: list[Lexeme], tables: Collection[str]) -> None:
    for name, bracket, first in zip(code, code[1:], code[2:], strict=False):
        if bracket.text == "(" and name.text.strip('"`').lower() in DICTIONARIES and first.text[1:-1] not in tables:
            raise PipeFault(
                f"{name.text} of {first.text}", "Name one of the project's dictionaries: 'catalogue'", name.line
            )


def _one_select(sql: str) -> exp.Expression:
    try:
        trees = sqlglot.parse(sql, dialect="clickhouse", error_level=sqlglot.ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as error:
        raise PipeFault(f"the SQL cannot be read: {_plain(error)}", line=_error_line(error)) from error
    if len(trees) != 1 or trees[0] is None:
        raise PipeFault("a pipe is one statement", "Take the semicolon away")
    tree = trees[0]
    if isinstance(tree, exp.SetOperation):  # the engine would order and limit its last part only
        raise PipeFault("a pipe ends in one SELECT", "Put the union into a sub-query and select from it")
    if not isinstance(tree, exp.Select):
        raise PipeFault(f"a pipe is a SELECT, not {tree.key.upper()}")
    return tree


def _only_own_tables(tree: exp.Expression, tables: Collection[str]) -> None:
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            raise PipeFault(f"{table.sql(dialect='clickhouse')} is a table function", "Read the project's tables")
        if table.args.get("db") or table.args.get("catalog"):
            raise PipeFault(
                f"{table.sql(dialect='clickhouse')}: leave the database out", "Write the table's name alone"
            )
        if table.name not in named and table.name not in tables:
            raise PipeFault(f"there is no table {table.name}", f"There are {', '.join(sorted(tables))}")
    for listed in tree.find_all(exp.In):  # `x in system.one` reads a table that looks like a column
        for side in (listed.args.get("field"), *listed.expressions):
            if isinstance(column := side and side.unnest(), exp.Column) and column.table:
                raise PipeFault(f"in {column.sql(dialect='clickhouse')}", "Write a sub-query: in (select … from …)")


def _ordered_and_limited(tree: exp.Expression) -> None:
    limit = tree.args.get("limit")
    if not limit or limit.expressions:  # LIMIT … BY holds back some rows of each group, not the answer
        raise PipeFault("the last SELECT has no LIMIT", "End it with: limit {{ limit }}")
    if not tree.args.get("order"):
        raise PipeFault("the last SELECT has no ORDER BY", "An answer is repeatable: order by score desc, item_id")


def tables_of(tree: exp.Expression) -> list[str]:
    """The tables a checked text reads, sorted."""
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    return sorted({table.name for table in tree.find_all(exp.Table) if table.name not in named})


def _plain(error: Exception) -> str:
    return str(error).split("\n", 1)[0].replace("\x1b[4m", "").replace("\x1b[0m", "")


def _error_line(error: Exception) -> int:
    errors = getattr(error, "errors", None) or [{}]
    return int(errors[0].get("line") or 0)
