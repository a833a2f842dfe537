"""Is a rendered text one read-only SELECT over the project's own tables? Read from the text; the engine is asked later.

An allow-list, because the engine's own read-only mode lets scalar functions read files: what is not listed is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alsobought.errors import PipeFault
from alsobought.pipes.columns import place_of
from alsobought.pipes.order import tells_apart
from alsobought.pipes.source_map import Places
from alsobought.pipes.template import placeholders

WRITTEN = """
    abs any anyLast argMax argMin array arrayAll arrayAvg arrayConcat arrayCount arrayCumSum arrayDistinct
    arrayElement arrayEnumerate arrayExists arrayFilter arrayFirst arrayFirstIndex arrayFlatten arrayFold arrayIntersect
    arrayJoin arrayLast arrayMap arrayMax arrayMin arrayPopBack arrayPopFront arrayProduct arrayPushBack
    arrayPushFront arrayReduce arrayResize arrayReverse arrayReverseSort arraySlice arraySort arrayStringConcat arraySum
    arrayUniq arrayZip assumeNotNull avg avgForEach avgWeighted base64Encode bitAnd bitOr bitXor bitCount cast ceil ceiling
    cityHash64 coalesce concat concatWithSeparator corr cosineDistance count countIf cramersV cume_dist dateAdd
    dateDiff dateSub dateTrunc date_add date_diff date_sub date_trunc dense_rank dictGet dictGetOrDefault
    dictGetOrNull dictHas dotProduct empty endsWith erf exp exp10 exp2 first_value floor formatDateTime
    fromUnixTimestamp64Milli greatest groupArray groupArraySorted groupBitAnd groupBitOr groupUniqArray has hasAll
    hasAny hasToken hex if ifNull indexOf intDiv intDivOrZero isFinite isNaN isNotNull isNull isZeroOrNull joinGet
    joinGetOrNull kurtPop kurtSamp L2Distance L2Norm lag lagInFrame last_value lcase lead leadInFrame least left
    length lengthUTF8 lgamma like ilike log log10 log1p log2 ln lower lowerUTF8 ltrim map mapContains mapFromArrays mapKeys
    mapValues match max maxIf maxMap md5 median min minIf minMap minus mod modulo monthName multiIf multiSearchAny
    negate ngramDistance not notEmpty notILike notLike nth_value ntile nullIf parseDateTimeBestEffort percent_rank
    plus position positionCaseInsensitive pow power quantile quantileExact quantiles range rank replaceAll
    replaceOne reverse right round row_number rtrim sigmoid sign sipHash64 splitByChar splitByString sqrt startsWith
    stddevPop stddevSamp substring substringUTF8 sum sumIf sumMap sumWithOverflow tanh timeDiff tokens toDate toDateTime
    toDateTime64 toDayOfMonth toDayOfWeek toFloat32 toFloat64 toHour toInt16 toInt32 toInt64 toInt8 toIntervalDay
    toIntervalHour toIntervalMinute toIntervalMonth toIntervalSecond toIntervalWeek toMinute toMonday toMonth
    toNullable toStartOfDay toStartOfHour toStartOfInterval toStartOfMinute toStartOfMonth toStartOfWeek
    toStartOfYear toString toUInt16 toUInt32 toUInt64 toUInt8 toUnixTimestamp toUnixTimestamp64Milli toYear toYYYYMM
    toYYYYMMDD topK transform trim trimBoth trimLeft trimRight truncate tuple tupleElement ucase uniq uniqCombined
    uniqExact upper upperUTF8 varPop varSamp vectorSum xxHash64 addDays addHours addMinutes addMonths addSeconds
    addWeeks subtractDays subtractHours subtractMinutes subtractMonths subtractSeconds subtractWeeks
    exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedSum
    """.split()  # noqa: SIM905 - words are easier to read than a list of 300 strings
FUNCTIONS = {name.lower(): name for name in WRITTEN}
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
    at: int  # its first character in the text


class _Text:
    """A rendered text, and the faults found in it so far."""

    def __init__(self, sql: str, tables: Collection[str], places: Places) -> None:
        self.sql, self.tables, self.places = sql, tables, places
        self.faults: list[PipeFault] = []

    def fault(self, at: int, message: str, hint: str = "") -> PipeFault:
        return self.places.fault(self.sql, at, message, hint)

    def note(self, at: int, message: str, hint: str = "") -> None:
        self.faults.append(self.fault(at, message, hint))


def check(sql: str, tables: Collection[str], places: Places = Places()) -> exp.Select:  # noqa: B008 - frozen
    """The parsed text, if it may run.

    Raises PipeFault that names what is not allowed and, where it can be told, the line; `others` has the further ones.
    """
    text = _Text(sql, tables, places)
    lexemes = _lexemes(text)
    code = [lexeme for lexeme in lexemes if lexeme.kind not in ("space", "comment")]
    _only_listed_functions(text, code)
    _only_own_dictionaries(text, code)
    try:
        tree = _one_select(text, "".join(_without_comment(lexeme) for lexeme in lexemes))
    except PipeFault as fault:
        raise PipeFault.together([*text.faults, fault]) from fault
    _only_own_tables(text, tree)
    for select in tree.find_all(exp.Query):
        for clause in ("settings", "format", "into", "locks"):
            if select.args.get(clause):
                text.note(_word(code, clause), f"{clause.upper()} does not belong in a pipe", "The service sets it")
    _ordered_and_limited(text, tree)
    if text.faults:
        raise PipeFault.together(text.faults)
    return tree


def _word(code: list[Lexeme], word: str) -> int:
    return next((lexeme.at for lexeme in code if lexeme.text.lower() == word), 0)


def _lexemes(text: _Text) -> list[Lexeme]:
    found: list[Lexeme] = []
    place, sql = 0, text.sql
    while place < len(sql):
        match = LEXEME.match(sql, place)
        if not match:
            raise text.fault(place, f"{sql[place]!r} cannot be read here", _HINTS.get(sql[place], ""))
        lexeme = Lexeme(match.lastgroup or "", match[0], place)
        _nothing_hidden(text, lexeme)
        found.append(lexeme)
        place = match.end()
    return found


_HINTS = {
    ";": "A pipe is one statement: take the semicolon away",
    "{": "A parameter is written as {{ name }}, a map as map('key', value)",
    "'": "A quote is never closed",
}


def _nothing_hidden(text: _Text, lexeme: Lexeme) -> None:
    if lexeme.kind in ("string", "comment") and (found := placeholders(lexeme.text)):
        raise text.fault(lexeme.at, f"{{{{ {min(found)} }}}} stands inside quotes or a comment", "Take the quotes away")
    if lexeme.kind == "comment" and "/*" in lexeme.text[2:]:
        raise text.fault(lexeme.at, "a comment stands inside a comment", "Leave one of them out")


def _without_comment(lexeme: Lexeme) -> str:
    """Characters keep their places: the parser tells them."""
    return re.sub(r"[^\n]", " ", lexeme.text) if lexeme.kind == "comment" else lexeme.text


def _only_listed_functions(text: _Text, code: list[Lexeme]) -> None:
    nothing = Lexeme("", "", 0)
    for before, name, after in zip([nothing, *code], code, [*code[1:], nothing], strict=False):
        word = name.text.strip('"`').lower()
        if name.kind not in ("word", "quoted") or (word in WORDS and name.kind == "word"):
            continue
        hint = "Use {{ now }}: the clock is a parameter" if word in CLOCKS else ""
        if after.text == "(" and word not in FUNCTIONS:
            near = get_close_matches(word, FUNCTIONS, n=1, cutoff=0.75)
            meant = f"Did you mean {FUNCTIONS[near[0]]}?" if near and word not in SERVER else ""
            text.note(name.at, f"the function {name.text} is not allowed in a pipe", hint or meant)
        elif word in BARE and name.kind == "word" and before.text != ".":
            text.note(name.at, f"{name.text} is not allowed in a pipe", hint)


def _only_own_dictionaries(text: _Text, code: list[Lexeme]) -> None:
    for name, bracket, first, after in zip(code, code[1:], code[2:], code[3:], strict=False):
        word = name.text.strip('"`').lower()
        ours = first.kind == "string" and first.text[1:-1] in text.tables and after.text == ","
        if bracket.text == "(" and word in DICTIONARIES and not ours:
            hint = "Name one of the project's dictionaries: 'catalogue'"
            text.note(name.at, f"{name.text} of {first.text}", hint)


def _one_select(text: _Text, sql: str) -> exp.Select:
    try:
        trees = sqlglot.parse(sql, dialect="clickhouse", error_level=sqlglot.ErrorLevel.RAISE)
    except RecursionError as error:
        raise PipeFault("nested too deeply", "Name the inner parts in a WITH") from error
    except SqlglotError as error:
        line, column = _error_place(error)
        at = sum(len(one) + 1 for one in sql.split("\n")[: line - 1]) + column
        hint = "Look at this line and the end of the one before it" if line else ""
        fault = text.fault(at, f"the SQL cannot be read: {_plain(error)}", hint)
        raise fault if line else PipeFault(fault.message) from error
    if len(trees) != 1 or trees[0] is None:
        raise PipeFault("there is no SELECT in it", "select … from … order by … limit {{ limit }}")
    tree = trees[0]
    if isinstance(tree, exp.SetOperation):  # the engine would order and limit its last part only
        raise PipeFault("a pipe ends in one SELECT", "Put the union into a sub-query and select from it")
    if not isinstance(tree, exp.Select):
        raise PipeFault(f"a pipe is a SELECT, not {sql.split(maxsplit=1)[0].upper()}", "It only reads")
    return tree


def _only_own_tables(text: _Text, tree: exp.Expression) -> None:
    named = _named(tree)
    for table in tree.find_all(exp.Table):
        at = place_of(table)
        written = table.sql(dialect="clickhouse")
        if not isinstance(table.this, exp.Identifier):
            text.note(at, f"{written} is a table function", "Read the project's tables")
        elif table.args.get("db") or table.args.get("catalog"):
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
