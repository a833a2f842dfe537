"""What the engine says of a text that it would not run, as one short sentence with a line.

Its own words are long, name its inside and quote the text it made of ours: none of them reach a fault.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlglot import exp

from alsobought.errors import PipeFault
from alsobought.pipes.columns import place_of, unknown_columns
from alsobought.pipes.scopes import Scope
from alsobought.pipes.source_map import Places

KIND = re.compile(r"\(([A-Z][A-Z_]+)\)")
NAME = r"['`\"]?([\w.]+)['`\"]?"
SENTENCES = {
    "UNKNOWN_TABLE": (rf"identifier {NAME}", "there is no table {}", "A WITH of one value is no table: use its name"),
    "UNKNOWN_TYPE": (rf"family:? {NAME}", "there is no type {}", "Write it as ClickHouse does: String, UInt32, Date"),
    "UNKNOWN_FUNCTION": (rf"[Ff]unction(?: with name)? {NAME}", "there is no function {}", "Names are case-sensitive"),
    "NUMBER_OF_ARGUMENTS_DOESNT_MATCH": (
        rf"[Ff]unction {NAME}",
        "the function {} takes another number of arguments",
        "Count what stands between its brackets",
    ),
    "ILLEGAL_TYPE_OF_ARGUMENT": (
        rf"function {NAME}",
        "the function {} does not take an argument of this type",
        "Convert it: toString(…), toFloat64(…), toDate(…)",
    ),
    "NOT_AN_AGGREGATE": (
        rf"[Cc]olumn {NAME}",
        "{} is neither in GROUP BY nor inside an aggregate",
        "Add it to GROUP BY, or write any(…), max(…), sum(…)",
    ),
    "AMBIGUOUS_IDENTIFIER": (NAME, "{} is in more than one of the tables", "Write the table in front of it"),
    "ILLEGAL_AGGREGATION": (
        r"function (\w+)",
        "the aggregate {} stands where none can: in WHERE, or inside another aggregate",
        "Filter with HAVING; give a total another name than its column",
    ),
    "NO_COMMON_TYPE": (
        r"executing function (\w+)",
        "values of types that do not fit together are compared or joined",
        "Convert one of them: toString(…), toFloat64(…)",
    ),
    "TYPE_MISMATCH": (NAME, "a value has another type than this place takes", "Convert it"),
}
SENTENCES["TOO_FEW_ARGUMENTS_FOR_FUNCTION"] = SENTENCES["NUMBER_OF_ARGUMENTS_DOESNT_MATCH"]
SENTENCES["TOO_MANY_ARGUMENTS_FOR_FUNCTION"] = SENTENCES["NUMBER_OF_ARGUMENTS_DOESNT_MATCH"]
OPERATORS: dict[str, tuple[str, type[exp.Expr]]] = {
    "plus": ("+", exp.Add),
    "minus": ("-", exp.Sub),
    "multiply": ("*", exp.Mul),
    "divide": ("/", exp.Div),
    "modulo": ("%", exp.Mod),
    "equals": ("=", exp.EQ),
    "notEquals": ("!=", exp.NEQ),
    "less": ("<", exp.LT),
    "lessOrEquals": ("<=", exp.LTE),
    "greater": (">", exp.GT),
    "greaterOrEquals": (">=", exp.GTE),
    "and": ("and", exp.And),
    "or": ("or", exp.Or),
}
# Not the text's fault: the engine is away or its folder is.
TROUBLE = {"NETWORK_ERROR", "SOCKET_TIMEOUT", "ALL_CONNECTION_TRIES_FAILED", "CANNOT_OPEN_FILE", "NOT_ENOUGH_SPACE"}


def is_about_the_text(said: str) -> bool:
    """Whether the engine refused the text, rather than that it could not be asked."""
    kind = _kind(said)
    return bool(kind) and kind not in TROUBLE


@dataclass(frozen=True)
class Asked:
    """A text that the engine was asked about: its tree and scopes, and the parameters of its pipe."""

    sql: str
    places: Places
    tree: exp.Expr
    scopes: list[Scope]
    parameters: Collection[str]

    def fault(self, at: int, message: str, hint: str = "") -> PipeFault:
        """-1: it cannot be told where."""
        return self.places.fault(self.sql, at, message, hint) if at >= 0 else PipeFault(message, hint)

    def only_place(self, name: str) -> int:
        """Where a word stands, if that can be told: its one place as a name, or its one place in the text; else -1."""
        if not name:
            return -1
        nodes = [node for scope in self.scopes for node in scope.nodes() if node.name == name and "start" in node.meta]
        places = {place_of(node) for node in nodes}
        places = (
            places
            if len(places) == 1
            else {found.start() for found in re.finditer(rf"\b{re.escape(name)}\b", self.sql)}
        )
        return places.pop() if len(places) == 1 else -1

    def ungrouped(self, name: str) -> int:
        """The first place where a SELECT that groups has this column, and does not group by it."""
        for scope in self.scopes:
            nodes = list(scope.nodes())
            groups = scope.select.args.get("group") or any(isinstance(node, exp.AggFunc) for node in nodes)
            group = scope.select.args.get("group") or exp.Group()
            if not groups or any(column.name == name for column in group.find_all(exp.Column)):
                continue
            for node in nodes:
                if isinstance(node, exp.Column) and node.name == name and not node.find_ancestor(exp.AggFunc):
                    return place_of(node)
        return -1

    def only_operator(self, name: str) -> int:
        places = {place_of(node) for node in self.tree.find_all(OPERATORS[name][1])}
        return places.pop() if len(places) == 1 else -1


def refused(said: str, asked: Asked) -> PipeFault:
    """The fault for what the engine said of this text, with the further ones of its kind that the text shows."""
    kind = _kind(said)
    if kind == "UNKNOWN_IDENTIFIER":
        return PipeFault.together(_unknown(said, asked))
    if kind == "SYNTAX_ERROR":
        return _syntax(said, asked)
    if kind in SENTENCES:
        return _in_a_sentence(said, asked, *SENTENCES[kind])
    if kind == "BAD_ARGUMENTS" and (found := re.search(r"No such attribute '([^']*)'", said)):
        hint = "The catalogue has title, category, brand, price, available, image and item_id"
        return asked.fault(asked.only_place(found[1]), f"the dictionary has no attribute {found[1]}", hint)
    words = f": {kind.lower().replace('_', ' ')}" if kind else ""
    return PipeFault(f"ClickHouse does not take the SQL{words}", "Leave parts of it out until it does")


def _in_a_sentence(said: str, asked: Asked, looked_for: str, sentence: str, hint: str) -> PipeFault:
    found = re.search(looked_for, said)
    name = found[1].rpartition(".")[2] if found else ""
    if name in OPERATORS:
        at = asked.only_operator(name)
        sentence = sentence.replace("the function {}", f"{OPERATORS[name][0]}")
    else:
        at = asked.only_place(name)
    if at < 0 and "GROUP BY" in sentence:
        at = asked.ungrouped(name)
    columns = re.findall(r"__table\d+\.(\w+)", said)
    if at < 0 and columns:
        at = asked.only_place(columns[0])
    return asked.fault(at, sentence.replace("{}", name or "a function"), hint)


def _kind(said: str) -> str:
    if said.startswith("Syntax error"):
        return "SYNTAX_ERROR"
    kinds = KIND.findall(said)
    return kinds[-1] if kinds else ""


def _unknown(said: str, asked: Asked) -> Iterator[PipeFault]:
    found = re.search(rf"[Ii]dentifier {NAME}", said)
    name = found[1] if found else ""
    known = list(unknown_columns(asked.scopes))
    if not any(one == name for one, _, _ in known):
        known = [(name or "of one of the names", asked.only_place(name.rpartition(".")[2]), "")]
    for one, at, meant in known:
        hint = f"Write {{{{ {one} }}}} for the parameter" if one in asked.parameters else meant
        yield asked.fault(at, f"there is no column {one}", hint)


def _syntax(said: str, asked: Asked) -> PipeFault:
    """The engine counts the line in front that asks it to describe the text, and within a line it counts bytes."""
    place = re.search(r"\(line (\d+), col (\d+)\)", said)
    hint = "Look at this line and the end of the one before it"
    if not place:
        return PipeFault("ClickHouse cannot read the SQL")
    lines = asked.sql.split("\n")
    above = max(0, min(int(place[1]) - 2, len(lines) - 1))
    before = lines[above].encode()[: int(place[2]) - 1].decode(errors="ignore")
    at = sum(len(line) + 1 for line in lines[:above]) + len(before)
    return asked.fault(at, "ClickHouse cannot read the SQL here", hint)
