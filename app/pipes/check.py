"""Is a rendered text one read-only SELECT over the project's own tables? Read from the text; the engine is asked later.

An allow-list, because the engine's own read-only mode lets scalar functions read files: what is not listed is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType  # type: ignore[attr-defined]

from app.errors import PipeFault
from app.pipes.template import placeholders

FUNCTIONS = frozenset(
    """
    abs any anyLast argMax argMin array arrayAll arrayAvg arrayConcat arrayCount arrayCumSum arrayDistinct arrayElement
    arrayEnumerate arrayExists arrayFilter arrayFirst arrayFirstIndex arrayFlatten arrayIntersect arrayJoin arrayLast
    arrayMap arrayMax arrayMin arrayPopBack arrayPopFront arrayProduct arrayPushBack arrayPushFront arrayReduce
    arrayReverse arrayReverseSort arraySlice arraySort arrayStringConcat arraySum arrayUniq arrayZip assumeNotNull avg
    avgWeighted base64Encode bitAnd bitOr bitXor bitCount cast ceil ceiling cityHash64 coalesce concat concatWithSeparator
    corr cosineDistance count countIf cramersV cume_dist dateAdd dateDiff dateSub dateTrunc date_add date_diff date_sub
    date_trunc dense_rank dictGet dictGetOrDefault dictGetOrNull dictHas dotProduct empty endsWith erf exp exp10 exp2
    first_value floor formatDateTime fromUnixTimestamp64Milli greatest groupArray groupArraySorted groupBitAnd groupBitOr
    groupUniqArray has hasAll hasAny hasToken hex if ifNull indexOf intDiv intDivOrZero isFinite isNaN isNotNull isNull
    isZeroOrNull joinGet joinGetOrNull kurtPop kurtSamp L2Distance L2Norm lag lagInFrame last_value lcase lead
    leadInFrame least left length lengthUTF8 lgamma like ilike log log10 log1p log2 ln lower lowerUTF8 ltrim map
    mapContains mapKeys mapValues match max maxIf maxMap md5 median min minIf minMap minus mod modulo monthName multiIf
    multiSearchAny negate ngramDistance not notEmpty notILike notLike nth_value ntile nullIf parseDateTimeBestEffort
    percent_rank plus position positionCaseInsensitive pow power quantile quantileExact quantiles range rank
    replaceAll replaceOne reverse right round row_number rtrim sigmoid sign sipHash64 splitByChar splitByString sqrt
    startsWith stddevPop stddevSamp substring substringUTF8 sum sumIf sumMap sumWithOverflow tanh timeDiff
    toDate toDateTime toDateTime64 toDayOfMonth toDayOfWeek toFloat32 toFloat64 toHour toInt16 toInt32 toInt64 toInt8
    toIntervalDay toIntervalHour toIntervalMinute toIntervalMonth toIntervalSecond toIntervalWeek toMinute toMonday
    toMonth toNullable toStartOfDay toStartOfHour toStartOfInterval toStartOfMinute toStartOfMonth toStartOfWeek
    toStartOfYear toString toUInt16 toUInt32 toUInt64 toUInt8 toUnixTimestamp toUnixTimestamp64Milli toYear
    toYYYYMM toYYYYMMDD topK transform trim trimBoth trimLeft trimRight truncate tuple tupleElement ucase uniq
    uniqCombined uniqExact upper upperUTF8 varPop varSamp vectorSum xxHash64
    addDays addHours addMinutes addMonths addSeconds addWeeks subtractDays subtractHours subtractMinutes subtractMonths
    subtractSeconds subtractWeeks exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedSum
    """.lower().split()
)
# Words that may stand before "(" without being functions.
WORDS = frozenset(
    ["in", "as", "and", "or", "not", "over", "by", "on", "using", "from", "join", "select", "where", "having", "when", "then", "else", "case", "with", "exists", "between", "like", "ilike", "union", "all", "distinct", "any", "interval", "values", "except", "intersect", "limit", "offset", "prewhere", "global", "array", "sets", "filter", "within", "is", "order", "partition", "qualify", "union", "tuple", "if", "end", "left", "right", "datetime64", "decimal", "nullable"]
)


def check(sql: str, tables: Collection[str]) -> exp.Expression:
    """The parsed text, if it may run.

    Raises PipeFault that names what is not allowed and, where it can be told, the line.
    """
    tokens = _tokens(sql)
    _no_hidden_parameters(tokens)
    _only_listed_functions(tokens)
    tree = _one_select(sql)
    _only_own_tables(tree, tables)
    for select in tree.find_all(exp.Select):
        for clause in ("settings", "format", "into", "locks"):
            if select.args.get(clause):
                raise PipeFault(f"{clause.upper()} does not belong in a pipe", "Leave it out: the service sets it")
    _ordered_and_limited(tree)
    return tree


def _tokens(sql: str) -> list[Token]:
    try:
        return sqlglot.tokenize(sql, dialect="clickhouse")
    except SqlglotError as error:
        raise PipeFault(f"the SQL cannot be read: {_plain(error)}") from error


def _no_hidden_parameters(tokens: Iterable[Token]) -> None:
    for token in tokens:
        quoted = token.token_type in (TokenType.STRING, TokenType.IDENTIFIER)
        for text in [token.text] * quoted + token.comments:
            if found := placeholders(text):
                name = sorted(found)[0]
                raise PipeFault(
                    f"{{{{ {name} }}}} stands inside quotes or a comment", "Take the quotes away", token.line
                )


def _only_listed_functions(tokens: list[Token]) -> None:
    for name, bracket in zip(tokens, tokens[1:], strict=False):
        if bracket.token_type != TokenType.L_PAREN or not name.text.replace("_", "a").isalnum():
            continue
        word = name.text.lower()
        if name.token_type in (TokenType.STRING, TokenType.NUMBER):
            continue
        if word in WORDS and name.token_type != TokenType.IDENTIFIER:
            continue
        if word not in FUNCTIONS:
            hint = "Use {{ now }}: the clock is a parameter" if word in ("now", "now64", "today", "yesterday") else ""
            raise PipeFault(f"the function {name.text} is not allowed in a pipe", hint, name.line)


def _one_select(sql: str) -> exp.Expression:
    try:
        trees = sqlglot.parse(sql, dialect="clickhouse", error_level=sqlglot.ErrorLevel.RAISE)
    except (SqlglotError, RecursionError) as error:
        raise PipeFault(f"the SQL cannot be read: {_plain(error)}", line=_error_line(error)) from error
    if len(trees) != 1 or trees[0] is None:
        raise PipeFault("a pipe is one statement", "Take the semicolon away")
    tree = trees[0]
    if not isinstance(tree, (exp.Select, exp.SetOperation)):
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


def _ordered_and_limited(tree: exp.Expression) -> None:
    if not tree.args.get("limit"):
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
