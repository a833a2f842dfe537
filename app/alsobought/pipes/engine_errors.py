"""Turn an error message of ClickHouse about a text into one short sentence with a line.

The messages themselves are long, name internals and quote a rewritten text, so none of them is shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlglot import exp

from alsobought.errors import PipeFault
from alsobought.pipes.columns import offset_of, unknown_columns
from alsobought.pipes.scopes import Scope
from alsobought.pipes.source_map import SourceMap

ERROR_NAME = re.compile(r"\(([A-Z][A-Z_]+)\)")
NAME = r"['`\"]?([\w.]+)['`\"]?"
SENTENCES = {
    "UNKNOWN_TABLE": (
        rf"identifier {NAME}",
        "there is no table {}",
        "A scalar in a WITH is not a table: use its name as a value",
    ),
    "UNKNOWN_TYPE": (
        rf"family:? {NAME}",
        "there is no type {}",
        "Types are spelled as in ClickHouse: String, UInt32, Date",
    ),
    "UNKNOWN_FUNCTION": (rf"[Ff]unction(?: with name)? {NAME}", "there is no function {}", "Names are case-sensitive"),
    "NUMBER_OF_ARGUMENTS_DOESNT_MATCH": (
        rf"[Ff]unction {NAME}",
        "the function {} takes a different number of arguments",
        "Count its arguments",
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
    "AMBIGUOUS_IDENTIFIER": (NAME, "{} is in more than one of the tables", "Qualify it with the table"),
    "ILLEGAL_AGGREGATION": (
        r"function (\w+)",
        "the aggregate {} is not allowed here: in WHERE, or inside another aggregate",
        "Filter with HAVING; do not give a total the name of its column",
    ),
    "NO_COMMON_TYPE": (
        r"executing function (\w+)",
        "values of incompatible types are compared or joined",
        "Convert one of them: toString(…), toFloat64(…)",
    ),
    "TYPE_MISMATCH": (NAME, "a value has the wrong type", "Convert it"),
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
LIMITS = {
    "TIMEOUT_EXCEEDED": "time",
    "TOO_SLOW": "time",
    "MEMORY_LIMIT_EXCEEDED": "memory",
    "TOO_MANY_ROWS": "rows",
    "TOO_MANY_BYTES": "bytes",
}
# Errors that the text has not caused.
ENVIRONMENT_ERRORS = {
    "NETWORK_ERROR",
    "SOCKET_TIMEOUT",
    "ALL_CONNECTION_TRIES_FAILED",
    "CANNOT_OPEN_FILE",
    "NOT_ENOUGH_SPACE",
}


def is_rejection(message: str) -> bool:
    """True if the engine rejected the text; False if it could not be reached."""
    name = _error_name(message)
    return bool(name) and name not in ENVIRONMENT_ERRORS


@dataclass(frozen=True)
class RejectedSql:
    """A text that the engine rejected: its tree and scopes, and the parameters of its pipe."""

    sql: str
    source_map: SourceMap
    tree: exp.Expr
    scopes: list[Scope]
    parameters: Collection[str]

    def fault(self, offset: int, message: str, hint: str = "") -> PipeFault:
        """`offset` is -1 if it is unknown."""
        return self.source_map.fault(self.sql, offset, message, hint) if offset >= 0 else PipeFault(message, hint)

    def unique_offset(self, name: str) -> int:
        """The offset of a word that occurs once, as a name in the tree or else in the text; -1 otherwise."""
        if not name:
            return -1
        nodes = [node for scope in self.scopes for node in scope.nodes() if node.name == name and "start" in node.meta]
        offsets = {offset_of(node) for node in nodes}
        if len(offsets) != 1:
            offsets = {word.start() for word in re.finditer(rf"\b{re.escape(name)}\b", self.sql)}
        return offsets.pop() if len(offsets) == 1 else -1

    def ungrouped_offset(self, name: str) -> int:
        """The first use of a column in a SELECT that aggregates but does not group by it; -1 if there is none."""
        for scope in self.scopes:
            nodes = list(scope.nodes())
            aggregates = scope.select.args.get("group") or any(isinstance(node, exp.AggFunc) for node in nodes)
            group = scope.select.args.get("group") or exp.Group()
            if not aggregates or any(column.name == name for column in group.find_all(exp.Column)):
                continue
            for node in nodes:
                if isinstance(node, exp.Column) and node.name == name and not node.find_ancestor(exp.AggFunc):
                    return offset_of(node)
        return -1

    def operator_offset(self, name: str) -> int:
        """The offset of an operator that occurs once; -1 otherwise."""
        offsets = {offset_of(node) for node in self.tree.find_all(OPERATORS[name][1])}
        return offsets.pop() if len(offsets) == 1 else -1


def explain_rejection(message: str, rejected: RejectedSql) -> PipeFault:
    """The fault for an error message of the engine, with further faults of its kind in the text."""
    error_name = _error_name(message)
    if error_name == "UNKNOWN_IDENTIFIER":
        return PipeFault.together(_unknown_columns(message, rejected))
    if error_name == "SYNTAX_ERROR":
        return _syntax_error(message, rejected)
    if error_name in LIMITS:
        hint = "It may be the load of the machine: run the check again. Otherwise simplify the SQL"
        return PipeFault(f"ClickHouse reached its limit of {LIMITS[error_name]} during validation", hint)
    if error_name in SENTENCES:
        return _from_sentence(message, rejected, *SENTENCES[error_name])
    if error_name == "BAD_ARGUMENTS" and (attribute := re.search(r"No such attribute '([^']*)'", message)):
        hint = "The catalogue has title, category, brand, price, available, image and item_id"
        sentence = f"the dictionary has no attribute {attribute[1]}"
        return rejected.fault(rejected.unique_offset(attribute[1]), sentence, hint)
    reason = f": {error_name.lower().replace('_', ' ')}" if error_name else ""
    return PipeFault(f"ClickHouse rejects the SQL{reason}", "Remove parts of it until it is accepted")


def _from_sentence(message: str, rejected: RejectedSql, pattern: str, sentence: str, hint: str) -> PipeFault:
    match = re.search(pattern, message)
    name = match[1].rpartition(".")[2] if match else ""
    if name in OPERATORS:
        offset = rejected.operator_offset(name)
        sentence = sentence.replace("the function {}", f"{OPERATORS[name][0]}")
    else:
        offset = rejected.unique_offset(name)
    if offset < 0 and "GROUP BY" in sentence:
        offset = rejected.ungrouped_offset(name)
    columns = re.findall(r"__table\d+\.(\w+)", message)
    if offset < 0 and columns:
        offset = rejected.unique_offset(columns[0])
    return rejected.fault(offset, sentence.replace("{}", name or "a function"), hint)


def _error_name(message: str) -> str:
    """The name of ClickHouse's error code; empty if the message has none."""
    if message.startswith("Syntax error"):
        return "SYNTAX_ERROR"
    names = ERROR_NAME.findall(message)
    return names[-1] if names else ""


def _unknown_columns(message: str, rejected: RejectedSql) -> Iterator[PipeFault]:
    match = re.search(rf"[Ii]dentifier {NAME}", message)
    name = match[1] if match else ""
    columns = list(unknown_columns(rejected.scopes))
    if not any(column == name for column, _, _ in columns):
        columns = [(name or "of one of the names", rejected.unique_offset(name.rpartition(".")[2]), "")]
    for column, offset, suggestion in columns:
        hint = f"Write {{{{ {column} }}}} for the parameter" if column in rejected.parameters else suggestion
        yield rejected.fault(offset, f"there is no column {column}", hint)


def _syntax_error(message: str, rejected: RejectedSql) -> PipeFault:
    """The engine counts the line of DESCRIBE before the text, and counts bytes within a line."""
    position = re.search(r"\(line (\d+), col (\d+)\)", message)
    if not position:
        return PipeFault("ClickHouse cannot parse the SQL")
    lines = rejected.sql.split("\n")
    index = max(0, min(int(position[1]) - 2, len(lines) - 1))
    before = lines[index].encode()[: int(position[2]) - 1].decode(errors="ignore")
    offset = sum(len(line) + 1 for line in lines[:index]) + len(before)
    hint = "Look at this line and the end of the one before it"
    return rejected.fault(offset, "ClickHouse cannot parse the SQL here", hint)
