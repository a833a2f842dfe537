"""Where a character of a rendered text came from: the line of the pipe's own file, and of the macro that printed it.

While Jinja reads a file each piece of plain text gets a mark with its line, and what a macro printed is put between two
marks; `unmarked` takes them out and keeps what they said. No text may hold their characters otherwise.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream

from alsobought.errors import PipeFault

OPEN, CLOSE = "\x02", "\x03"
MARK = re.compile(rf"{OPEN}(?:([^{OPEN}{CLOSE}:]*):([0-9]+)|([()])){CLOSE}")


@dataclass(frozen=True)
class Spot:
    """A line of the pipe's file and, for what a macro's file printed there, that file and the line in it."""

    line: int
    macro: str = ""
    macro_line: int = 0


@dataclass(frozen=True)
class Places:
    """`spots[n]` is where the text from `starts[n]` on came from; empty: the text is its own file."""

    starts: tuple[int, ...] = ()
    spots: tuple[Spot, ...] = ()

    def spot(self, sql: str, at: int) -> Spot:
        place = bisect_right(self.starts, at)
        return self.spots[place - 1] if place else Spot(sql.count("\n", 0, max(at, 0)) + 1)

    def fault(self, sql: str, at: int, message: str, hint: str = "") -> PipeFault:
        """A fault at this character of the text."""
        spot = self.spot(sql, at)
        inside = f"{spot.macro}, line {spot.macro_line}: " if spot.macro else ""
        return PipeFault(inside + message, hint, spot.line)


class Marks(Extension):
    """Puts the marks into what Jinja's lexer found, before it is parsed."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        name, in_macro, after_begin = stream.name or "", False, False
        for token in stream:
            if after_begin and token.value in ("macro", "endmacro"):
                in_macro = token.value == "macro"
            after_begin = token.type == "block_begin"
            if token.type == "data":
                lines = token.value.split("\n")
                marked = (_mark(name, number) + line for number, line in enumerate(lines, token.lineno))
                yield Token(token.lineno, "data", "\n".join(marked))
                continue
            if token.type == "variable_begin" and not in_macro:  # a macro that prints nothing must stay empty
                yield Token(token.lineno, "data", _mark(name, token.lineno))
            yield token


def _mark(name: str, line: int) -> str:
    return f"{OPEN}{name}:{line}{CLOSE}"


def called(result: str) -> str:
    """What a macro printed, between its marks."""
    return f"{OPEN}({CLOSE}{result}{OPEN}){CLOSE}" if result else result


def without_marks(text: str, name: str = "") -> str:
    """The text, if it holds no character of a mark. Raises PipeFault."""
    found = re.search(f"[{OPEN}{CLOSE}]", text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        inside = f"{name}, line {line}: " if name else ""
        raise PipeFault(f"{inside}{found[0]!r} cannot be read here", "Take it out", 0 if name else line)
    return text


def unmarked(text: str) -> tuple[str, Places]:
    """A rendered text without its marks, and what they said."""
    parts: list[str] = []
    starts: list[int] = []
    spots: list[Spot] = []
    callers: list[Spot] = []
    now, read, length = Spot(1), 0, 0
    for mark in MARK.finditer(text):
        parts.append(text[read : mark.start()])
        length += len(parts[-1])
        read = mark.end()
        name, line, bracket = mark.groups()
        if bracket == "(":
            callers.append(now)
            continue
        if bracket == ")":
            now = callers.pop() if callers else now
        elif name:
            now = Spot(callers[0].line if callers else 0, name, int(line))
        else:
            now = Spot(int(line))
        if starts and starts[-1] == length:
            spots[-1] = now
        else:
            starts.append(length)
            spots.append(now)
    parts.append(text[read:])
    return "".join(parts), Places(tuple(starts), tuple(spots))
