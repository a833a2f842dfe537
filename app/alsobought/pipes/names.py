"""Does every word of a text mean something that a pipe may use? ClickHouse takes the bare name of a function as an argument,
`arrayMap(file, …)`: a word is a name in scope, a keyword, or a listed function in front of its bracket, and nothing else.

The parser's tree says which words are names in scope; each word that it does not account for must be a keyword.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from alsobought.pipes.columns import Finding, is_argument, is_known, meant, place_of
from alsobought.pipes.scopes import Scope

# Words that may stand before "(" without being functions.
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
"""Words that are no names. Those that are functions of the engine too are listed in functions.py: a test sees to it."""
GIVEN = {(exp.Alias, "alias"), (exp.Lambda, "expressions"), (exp.Dot, "expression")}
"""Where a name is given, or is that of a field."""


def names(found: list[Scope]) -> tuple[set[int], list[Finding]]:
    """Where in the text names stand that mean something, and where those that mean nothing. Only of the scopes: what stands in
    none of them is accounted for by nobody.
    """
    places: set[int] = set()
    unknown: list[Finding] = []
    for scope in found:
        windows = {window.name for window in scope.select.args.get("windows") or ()}
        for node in scope.nodes():
            if isinstance(node, exp.Column):
                places.update(part.meta["start"] for part in node.parts if "start" in part.meta)
                if not is_known(scope, node):
                    name = ".".join(part.name for part in node.parts)
                    unknown.append(Finding(place_of(node), f"there is no column {name}", meant(scope, node)))
            elif isinstance(node, exp.Identifier) and "start" in node.meta and _means_something(scope, node, windows):
                places.add(node.meta["start"])
    return places, unknown


def _means_something(scope: Scope, node: exp.Identifier, windows: set[str]) -> bool:
    """A name that is no column: one that is given here, a field behind a dot, an argument in its lambda, a window."""
    parent, key = node.parent, node.arg_key
    if isinstance(parent, exp.Column):
        return False  # seen as a whole
    if isinstance(parent, (exp.TableAlias, exp.Table, exp.ColumnDef)) or (type(parent), key) in GIVEN:
        return True  # tables are looked at elsewhere
    if isinstance(parent, exp.Join):
        return key == "using" and scope.sees(node.name)
    if isinstance(parent, exp.Window):
        return node.name in windows
    return is_argument(node, node.name)


def untold(found: list[Scope]) -> Iterator[tuple[str, exp.Expr]]:
    """What is read without its columns being known: its name there, and the SELECT that reads it."""
    for scope in found:
        yield from ((name, scope.select) for name, columns in scope.sources.items() if columns is None)
