"""Check that every word of a text is a name in scope, a keyword, or a listed function before its bracket.

ClickHouse takes the bare name of a function as an argument: `arrayMap(file, …)`. Names in scope come from
the syntax tree; every word that the tree does not explain must be a keyword.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from alsobought.pipes.columns import Finding, is_argument, is_known, offset_of, qualified_name, suggest_column
from alsobought.pipes.scopes import Scope

# Words before "(" that are not functions.
BEFORE_BRACKET = frozenset(
    """
    in as and or not over by on using from join select where having when then else case with exists between like ilike
    union all distinct any interval except intersect limit offset prewhere global array sets filter within is order
    partition qualify tuple if end left right datetime64 decimal nullable
    """.split()  # noqa: SIM905 - words are easier to read than a list of 50 strings
)
TYPES = frozenset(
    """
    string fixedstring bool boolean int8 int16 int32 int64 int128 int256 uint8 uint16 uint32 uint64 uint128 uint256 float32
    float64 date date32 datetime datetime64 decimal decimal32 decimal64 decimal128 enum8 enum16 uuid array tuple map nullable
    lowcardinality
    """.split()  # noqa: SIM905
)
UNITS = frozenset(
    f"{unit}{ending}"
    for unit in ("millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year")
    for ending in ("", "s")
)
KEYWORDS = frozenset(
    """
    anti asc ascending asof at both cast collate cross cube current desc descending escape extract fill final first
    following for full group grouping ignore inner interpolate last leading null nulls only outer preceding range
    recursive replace respect rlike rollup row rows sample semi step ties time timestamp to totals trailing true false unbounded
    window zone inf nan
    """.split()  # noqa: SIM905
)
KEYWORDS = KEYWORDS | BEFORE_BRACKET | TYPES | UNITS
"""Words that are not names. A test proves that those which are also functions are on the allow-list."""
DEFINITIONS = {(exp.Alias, "alias"), (exp.Lambda, "expressions"), (exp.Dot, "expression")}
"""Nodes that define a name or select a field."""


def resolve_names(scopes: list[Scope]) -> tuple[set[int], list[Finding]]:
    """The offsets of all names in these scopes, and findings for those that are unknown."""
    offsets: set[int] = set()
    unknown: list[Finding] = []
    for scope in scopes:
        windows = {window.name for window in scope.select.args.get("windows") or ()}
        for node in scope.nodes():
            if isinstance(node, exp.Column):
                offsets.update(part.meta["start"] for part in node.parts if "start" in part.meta)
                if not is_known(scope, node):
                    message = f"there is no column {qualified_name(node)}"
                    unknown.append(Finding(offset_of(node), message, suggest_column(scope, node)))
            elif isinstance(node, exp.Identifier) and "start" in node.meta and _is_name(scope, node, windows):
                offsets.add(node.meta["start"])
    return offsets, unknown


def _is_name(scope: Scope, node: exp.Identifier, windows: set[str]) -> bool:
    """True for a name other than a column: a definition, a field, a lambda argument, a window."""
    parent, key = node.parent, node.arg_key
    if isinstance(parent, exp.Column):
        return False  # handled with its column
    if isinstance(parent, (exp.TableAlias, exp.Table, exp.ColumnDef)) or (type(parent), key) in DEFINITIONS:
        return True  # check.py checks tables
    if isinstance(parent, exp.Join):
        return key == "using" and scope.sees(node.name)
    if isinstance(parent, exp.Window):
        return node.name in windows
    return is_argument(node, node.name)


def unresolved_sources(scopes: list[Scope]) -> Iterator[tuple[str, exp.Expr]]:
    """Sources with unknown columns: the name, and the SELECT that reads it."""
    for scope in scopes:
        yield from ((name, scope.select) for name, columns in scope.sources.items() if columns is None)
