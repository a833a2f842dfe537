"""The second barrier: check the names that the engine's own parser reads in a text.

`check.py` reads a text with our lexer and with sqlglot. A text that the engine reads in another way could pass there, so each
text is checked again as the engine reads it: EXPLAIN AST, which parses and runs nothing. It is asked only about texts that
passed `check.py`, hence about one SELECT.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from alsobought.errors import PipeFault
from alsobought.pipes.functions import DICTIONARIES, TAKES_LAMBDA, is_aggregate, is_allowed, suggest_function
from alsobought.pipes.names import TYPES
from alsobought.pipes.source_map import SourceMap

ReadTree = Callable[[str, Mapping[str, Any]], Iterable[str]]
"""The lines of EXPLAIN AST of a SELECT; raises an AlsoboughtError if the engine cannot parse it."""
LINE = re.compile(r"( *)([\w:]+)(?: (.*?))?(?: \(alias ([^()]*)\))?(?: \(children \d+\))?$", re.DOTALL)
OPERATORS = {"lambda", "exists", "casewithexpression", "casewithoutexpression", "_cast"}
MEMBERSHIP = {"in", "notin", "globalin", "globalnotin", "nullin", "notnullin", "globalnullin", "globalnotnullin"}
REFUSED_KINDS = {
    "Set": "SETTINGS",
    "ColumnsApplyTransformer": "APPLY",
    "ColumnsRegexpMatcher": "COLUMNS",
    "ColumnsListMatcher": "COLUMNS",
    "QualifiedColumnsRegexpMatcher": "COLUMNS",
    "QualifiedColumnsListMatcher": "COLUMNS",
    "SQLSecurity": "SQL SECURITY",
}
AGGREGATE = re.compile(r"\\'(\w+)(\([0-9., ]*\))?\\'")
TYPE_WITH_ARGUMENTS = re.compile(r"(\w+)\s*\(")
HINT = "ClickHouse reads this text in another way than it looks: write it plainly"


class ForeignName(PipeFault):
    """The engine reads a name that a pipe may not use. `name` is its spelling, for its line."""

    def __init__(self, name: str, message: str, hint: str = HINT) -> None:
        super().__init__(message, hint)
        self.name = name


@dataclass(slots=True)
class Node:
    kind: str
    text: str
    alias: str = ""
    children: list[Node] = field(default_factory=list)


def check_tree(sql: str, values: Mapping[str, Any], source_map: SourceMap, read_tree: ReadTree | None) -> None:
    """Check a text that passed `check_sql` again, as the engine reads it. Raises ForeignName, with its line."""
    if read_tree is None:
        return
    try:
        refuse_foreign_names(read_tree(sql, values))
    except ForeignName as foreign:
        position = re.search(rf"\b{re.escape(foreign.name)}\b", sql, re.IGNORECASE)
        foreign.line = source_map.fault(sql, position.start(), "").line if position else 0
        raise


def refuse_foreign_names(lines: Iterable[str]) -> None:
    """Raises ForeignName for the first name of EXPLAIN AST that a pipe may not use."""
    for root in _trees(lines):
        _check_root(root)
        for fault in _faults(root):
            raise fault


def _trees(lines: Iterable[str]) -> list[Node]:
    """The nodes without a parent."""
    top = Node("", "")
    path = [top]
    for line in lines:
        match = LINE.match(line)
        if not match:
            raise ForeignName("", "the engine's reading of the text is unknown")
        depth = len(match[1]) + 1
        node = Node(match[2], match[3] or "", match[4] or "")
        del path[depth:]
        path[-1].children.append(node)
        path.append(node)
    return top.children


def _check_root(root: Node) -> None:
    """One query, perhaps with the format that the driver appends, and nowhere to write to."""
    kinds = [node.kind for node in root.children]
    if root.kind != "SelectWithUnionQuery" or kinds not in (["ExpressionList"], ["ExpressionList", "Identifier"]):
        raise ForeignName("into", "the engine reads more than one SELECT")


def _walk(root: Node) -> Iterator[Node]:
    nodes = [root]
    while nodes:
        yield (node := nodes.pop())
        nodes += node.children


def _faults(root: Node) -> Iterator[ForeignName]:
    qualified = _qualified_names(root)
    for node in _walk(root):
        if node.kind in REFUSED_KINDS:
            word = REFUSED_KINDS[node.kind]
            yield ForeignName(word, f"{word} is not allowed in a pipe")
        elif node.kind == "TableExpression":
            yield from (
                ForeignName(child.text, f"{child.text} is a table function", "Read the project's tables")
                for child in node.children
                if child.kind == "Function"
            )
        elif node.kind == "TableIdentifier" and "." in node.text:
            yield ForeignName(node.text, f"{node.text}: a database is not allowed", "Write only the name of the table")
        elif node.kind == "Function":
            yield from _faults_of_call(node, qualified)


def _qualified_names(root: Node) -> set[str]:
    """The aliases of `a.b`, which `in` takes for the table b of the database a, unless it is a column; and aliases of these."""
    identifiers = [node for node in _walk(root) if node.kind == "Identifier" and node.alias]
    names = {node.alias for node in identifiers if "." in node.text}
    while more := {node.alias for node in identifiers if node.text in names} - names:
        names |= more
    return names


def _faults_of_call(call: Node, qualified: set[str]) -> Iterator[ForeignName]:
    name = call.text.lower()
    if not is_allowed(name) and name not in OPERATORS | MEMBERSHIP:
        hint = suggest_function(name)
        yield ForeignName(call.text, f"the function {call.text} is not allowed in a pipe", hint)
    arguments = call.children[0].children if call.children else []
    first = arguments[0] if arguments else Node("", "")
    last = arguments[-1] if arguments else first
    if name in TAKES_LAMBDA and len(arguments) > 1 and (first.kind, first.text) != ("Function", "lambda"):
        yield ForeignName(call.text, f"the lambda of {call.text} must be written out", "x -> …")
    if name in DICTIONARIES and (first.kind != "Literal" or "." in first.text):
        hint = "Name one of the project's dictionaries: 'catalogue'"
        yield ForeignName(call.text, f"{call.text} cannot take {first.text or 'this'}", hint)
    if name == "arrayreduce":
        aggregate = AGGREGATE.fullmatch(first.text) if first.kind == "Literal" else None
        if not aggregate or not is_aggregate(aggregate[1]):
            yield ForeignName(call.text, f"{call.text} cannot take {first.text}", "Name a listed aggregate: 'sum'")
    if name in ("cast", "_cast"):
        types = TYPE_WITH_ARGUMENTS.findall(last.text) if last.kind == "Literal" else [last.text]
        if unlisted := [word for word in types if word.lower() not in TYPES]:
            yield ForeignName(unlisted[0], f"the type {unlisted[0]} is not allowed in a pipe", "")
    if name in MEMBERSHIP and last.kind == "Identifier" and ("." in last.text or last.text in qualified):
        yield ForeignName(last.text, f"in {last.text} is not allowed", "Write a sub-query: in (select … from …)")
