"""One line of a header, as a parameter: `:name Type[?] [= default] [(what its values must be)]  description`.

:limit   UInt16 = 10 (1..100)               a range
:since   Date (2020-01-01..2030-12-31)      a range of days
:sort    String = best (best, newest)       a set of values
:code    String (3..12)                     a length in characters
:sku     String (3..12, /[A-Z]{2}\\d+/)      a pattern, of the whole value; with a length or without
:brands  Array(String) = [acme, 'a, b']     several values; a text that holds commas stands in quotes
"""

from __future__ import annotations

import re
from dataclasses import replace

from alsobought.errors import PipeFault
from alsobought.pipes.parameters import Parameter
from alsobought.pipes.types import INTEGERS, MAX_LENGTH, TYPES, pattern, shown_plain

ITEM = r"(?:'[^']*'|/(?:[^/\\]|\\.)*+/|[^\s,()'/\[\]][^,)\]]*+)"
ITEMS = rf"\s*+{ITEM}\s*+(?:,\s*+{ITEM}\s*+)*+"
DECLARATION = re.compile(
    r":(?P<name>[a-z][a-z0-9_]*)\s+"
    r"(?P<type>Array\(\w+\)|\w+)(?P<optional>\?)?"
    rf"(?:\s*=\s*(?P<default>'[^']*'|\[(?:\s*+|{ITEMS})\]|[^\s(\['][^\s(]*+))?"
    rf"(?:\s*\((?P<facts>{ITEMS}|)\))?"
    r"(?:\s{2,}(?P<description>.*))?"
)
RANGED = ("Float64", "Date", "DateTime", *INTEGERS)
RESERVED = {"now": "the clock", "asked_pipe": "the name of the pipe that was asked"}
SHAPE = "Write `:name Type = default (1..100)  description`"


def declared(content: str, line: int) -> Parameter:
    """The parameter of one line.

    Raises PipeFault.
    """
    found = DECLARATION.fullmatch(content)
    if not found:
        raise PipeFault(f"{shown_plain(repr(content))} is not a parameter", _hint(content), line)
    repeated = found["type"].startswith("Array(")
    kind = found["type"][6:-1] if repeated else found["type"]
    if kind not in TYPES:
        raise PipeFault(
            f":{found['name']} has the type {kind}", f"There are {', '.join(TYPES)} and Array of them", line
        )
    if found["name"] in RESERVED:
        name = found["name"]
        raise PipeFault(
            f":{name} is {RESERVED[name]} and always there", f"Use {{{{ {name} }}}} without declaring it", line
        )
    if not found["description"]:
        raise PipeFault(f":{found['name']} needs a description, two spaces after its type", line=line)
    parameter = Parameter(found["name"], kind, found["description"], bool(found["optional"]), repeated, repeated)
    try:
        parameter = _kept(parameter, found["facts"] or "")
        if found["default"] is not None:
            parameter = replace(parameter, default=_default(parameter, found["default"]))
    except ValueError as error:
        raise PipeFault(f":{parameter.name}: {error}", line=line) from error
    return parameter


def _hint(content: str) -> str:
    if "/" in content.partition("(")[2]:
        return "A pattern stands between two slashes, with \\/ for a slash in it: (/[a-z]+/) or (3..12, /[a-z]+/)"
    if "[" in content.partition("=")[2]:
        return "Values of a default stand in one pair of brackets, with commas between them: = [a, b]"
    return SHAPE


def _default(parameter: Parameter, text: str) -> object:
    if text.startswith("["):
        if not parameter.repeated:
            raise ValueError(f"{text} are several values, and this takes one; Array({parameter.type}) takes several")
        return tuple(parameter.read(_plain(item)) for item in _items(text[1:-1]))
    value = parameter.read(_plain(text))
    return (value,) if parameter.repeated else value


def _kept(parameter: Parameter, text: str) -> Parameter:
    """The parameter with its range, set of values, length or pattern. A range lies within its type: the engine wraps
    what does not.
    """
    items = _items(text)
    patterns = [item for item in items if item.startswith("/")]
    ranges = [item for item in items if ".." in item and item[0] not in "/'"]
    if not patterns and not ranges:
        return replace(parameter, choices=tuple(parameter.read(_plain(item)) for item in items))
    if len(patterns) > 1 or len(ranges) > 1 or len(items) > len(patterns) + len(ranges):
        raise ValueError(f"({text}) is more than a range and a pattern; values that look like one stand in quotes")
    if ranges:
        low, _, high = (part.strip() for part in ranges[0].partition(".."))
        parameter = _long(parameter, low, high) if parameter.type == "String" else _ranged(parameter, low, high)
    if patterns:
        if parameter.type != "String":
            raise ValueError(f"{patterns[0]} is a pattern of texts, and this is a {parameter.type}")
        written = patterns[0][1:-1].replace("\\/", "/")
        pattern(written)
        parameter = replace(parameter, pattern=written)
    return parameter


def _ranged(parameter: Parameter, low: str, high: str) -> Parameter:
    if parameter.type not in RANGED:
        raise ValueError(f"({low}..{high}) is a range of numbers or days, and this is a {parameter.type}")
    minimum, maximum = parameter.read(low), parameter.read(high)
    if minimum > maximum:
        raise ValueError(f"({low}..{high}) holds no value; the smaller one comes first")
    return replace(parameter, minimum=minimum, maximum=maximum)


def _long(parameter: Parameter, low: str, high: str) -> Parameter:
    if not (low.isascii() and low.isdigit() and high.isascii() and high.isdigit()):
        raise ValueError(f"({low}..{high}) is not a number of characters, such as (3..12)")
    if len(low) > 9 or len(high) > 9 or int(high) > MAX_LENGTH:
        raise ValueError(f"({low}..{high}) is longer than the {MAX_LENGTH:,} characters that a String may have")
    if int(low) > int(high):
        raise ValueError(f"({low}..{high}) holds no length; the smaller one comes first")
    return replace(parameter, min_length=int(low), max_length=int(high))


def _items(text: str) -> list[str]:
    return [found[0].rstrip() for found in re.finditer(ITEM, text)]


def _plain(item: str) -> str:
    """A value as it was meant: 'a b' without its quotes."""
    return item[1:-1] if len(item) > 1 and item[0] == item[-1] == "'" else item
