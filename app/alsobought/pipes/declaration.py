"""Parse the declaration of a parameter: `:name Type[?] [= default] [(constraint)]  description`.

:limit   UInt16 = 10 (1..100)               a range
:since   Date (2020-01-01..2030-12-31)      a range of dates
:sort    String = best (best, newest)       allowed values
:code    String (3..12)                     a length in characters
:sku     String (3..12, /[A-Z]{2}\\d+/)      a pattern for the entire value, with or without a length
:brands  Array(String) = [acme, 'a, b']     several values; one with commas is quoted
"""

from __future__ import annotations

import re
from dataclasses import replace

from alsobought.errors import PipeFault
from alsobought.pipes.parameters import CURSOR, FRESH, Parameter
from alsobought.pipes.types import INTEGERS, MAX_LENGTH, TYPES, pattern, shorten

ITEM = r"(?:'[^']*'|/(?:[^/\\]|\\.)*+/|[^\s,()'/\[\]][^,)\]]*+)"
ITEMS = rf"\s*+{ITEM}\s*+(?:,\s*+{ITEM}\s*+)*+"
DECLARATION = re.compile(
    r":(?P<name>[a-z][a-z0-9_]*)\s+"
    r"(?P<type>Array\(\w+\)|\w+)(?P<optional>\?)?"
    rf"(?:\s*=\s*(?P<default>'[^']*'|\[(?:\s*+|{ITEMS})\]|[^\s(\['][^\s(]*+))?"
    rf"(?:\s*\((?P<constraint>{ITEMS}|)\))?"
    r"(?:\s{2,}(?P<description>.*))?"
)
RANGED = ("Float64", "Date", "DateTime", *INTEGERS)
RESERVED = {
    "now": "the clock",
    "asked_pipe": "the name of the requested pipe",
    "has_variants": "true if items have variants",
}
SHAPE = "Write `:name Type = default (1..100)  description`"


def parse_declaration(content: str, line: int) -> Parameter:
    """The parameter that a line of a header declares.

    Raises PipeFault.
    """
    fields = DECLARATION.fullmatch(content)
    if not fields:
        raise PipeFault(f"{shorten(repr(content))} is not a parameter", _hint(content), line)
    repeated = fields["type"].startswith("Array(")
    kind = fields["type"][6:-1] if repeated else fields["type"]
    if kind not in TYPES:
        raise PipeFault(
            f":{fields['name']} has the type {kind}", f"There are {', '.join(TYPES)} and Array of them", line
        )
    if fields["name"] in RESERVED:
        name = fields["name"]
        raise PipeFault(
            f":{name} is {RESERVED[name]} and always available", f"Use {{{{ {name} }}}} without declaring it", line
        )
    for reserved in (FRESH, CURSOR):
        if fields["name"] == reserved.name:
            message = f":{reserved.name} is a parameter of every pipe: {reserved.description}"
            raise PipeFault(message, "Choose another name", line)
    if not fields["description"]:
        raise PipeFault(f":{fields['name']} needs a description, two spaces after its type", line=line)
    parameter = Parameter(fields["name"], kind, fields["description"], bool(fields["optional"]), repeated, repeated)
    try:
        parameter = _constrained(parameter, fields["constraint"] or "")
        if fields["default"] is not None:
            parameter = replace(parameter, default=_default(parameter, fields["default"]))
    except ValueError as error:
        raise PipeFault(f":{parameter.name}: {error}", line=line) from error
    return parameter


def _hint(content: str) -> str:
    if "/" in content.partition("(")[2]:
        return "Put a pattern between two slashes, and write \\/ for a slash: (/[a-z]+/) or (3..12, /[a-z]+/)"
    if "[" in content.partition("=")[2]:
        return "Put the values of a default in one pair of brackets, separated by commas: = [a, b]"
    return SHAPE


def _default(parameter: Parameter, text: str) -> object:
    if text.startswith("["):
        if not parameter.repeated:
            raise ValueError(f"{text} is a list, and {parameter.type} takes one value; declare Array({parameter.type})")
        return tuple(parameter.read(_unquoted(item)) for item in _items(text[1:-1]))
    value = parameter.read(_unquoted(text))
    return (value,) if parameter.repeated else value


def _constrained(parameter: Parameter, text: str) -> Parameter:
    """The parameter with its range, allowed values, length or pattern.

    A range must lie within its type: ClickHouse would wrap other values.
    """
    items = _items(text)
    patterns = [item for item in items if item.startswith("/")]
    ranges = [item for item in items if ".." in item and item[0] not in "/'"]
    if not patterns and not ranges:
        return replace(parameter, choices=tuple(parameter.read(_unquoted(item)) for item in items))
    if len(patterns) > 1 or len(ranges) > 1 or len(items) > len(patterns) + len(ranges):
        raise ValueError(f"({text}) is more than a range and a pattern; quote values that look like one")
    if ranges:
        low, _, high = (part.strip() for part in ranges[0].partition(".."))
        parameter = (
            _with_length(parameter, low, high) if parameter.type == "String" else _with_range(parameter, low, high)
        )
    if patterns:
        if parameter.type != "String":
            raise ValueError(f"{patterns[0]} is a pattern, which needs a String; this is a {parameter.type}")
        regex = patterns[0][1:-1].replace("\\/", "/")
        pattern(regex)
        parameter = replace(parameter, pattern=regex)
    return parameter


def _with_range(parameter: Parameter, low: str, high: str) -> Parameter:
    if parameter.type not in RANGED:
        raise ValueError(f"({low}..{high}) is a range, which needs a number or date; this is a {parameter.type}")
    minimum, maximum = parameter.read(low), parameter.read(high)
    if minimum > maximum:
        raise ValueError(f"({low}..{high}) is an empty range; the smaller value comes first")
    return replace(parameter, minimum=minimum, maximum=maximum)


def _with_length(parameter: Parameter, low: str, high: str) -> Parameter:
    if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()):
        raise ValueError(f"({low}..{high}) is not a length in characters, such as (3..12)")
    if len(low) > 9 or len(high) > 9 or int(high) > MAX_LENGTH:
        raise ValueError(f"({low}..{high}) exceeds the maximum length of a String, {MAX_LENGTH:,} characters")
    if int(low) > int(high):
        raise ValueError(f"({low}..{high}) is an empty range; the smaller length comes first")
    return replace(parameter, min_length=int(low), max_length=int(high))


def _items(text: str) -> list[str]:
    return [item[0].rstrip() for item in re.finditer(ITEM, text)]


def _unquoted(item: str) -> str:
    """A value without its quotes."""
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] == "'" else item
