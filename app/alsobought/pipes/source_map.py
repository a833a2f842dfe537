"""Map an offset in rendered SQL to its line in the pipe's file and in the macro file that printed it.

While Jinja reads a file, each piece of plain text gets a mark with its line, and the output of a
macro is put between two marks; `extract_source_map` removes them. Texts that contain the characters
of a mark are refused.
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
class SourceLine:
    """A line of the pipe's file and, for the output of a macro, the macro file and its line."""

    line: int
    macro: str = ""
    macro_line: int = 0


@dataclass(frozen=True)
class SourceMap:
    """`lines[n]` is the source of the text from offset `starts[n]` on.

    Empty: the text was not rendered, and has its own line numbers.
    """

    starts: tuple[int, ...] = ()
    lines: tuple[SourceLine, ...] = ()

    def source_line(self, sql: str, offset: int) -> SourceLine:
        index = bisect_right(self.starts, offset)
        return self.lines[index - 1] if index else SourceLine(sql.count("\n", 0, max(offset, 0)) + 1)

    def fault(self, sql: str, offset: int, message: str, hint: str = "") -> PipeFault:
        """A fault at this character of the text."""
        source = self.source_line(sql, offset)
        prefix = f"{source.macro}, line {source.macro_line}: " if source.macro else ""
        return PipeFault(prefix + message, hint, source.line)


class MarkExtension(Extension):
    """Inserts the marks into the tokens of Jinja's lexer, before they are parsed."""

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


def mark_macro_output(output: str) -> str:
    """The output of a macro between its two marks."""
    return f"{OPEN}({CLOSE}{output}{OPEN}){CLOSE}" if output else output


def reject_marks(text: str, name: str = "") -> str:
    """The text unchanged. Raises PipeFault if it contains a character of a mark."""
    if character := re.search(f"[{OPEN}{CLOSE}]", text):
        line = text.count("\n", 0, character.start()) + 1
        prefix = f"{name}, line {line}: " if name else ""
        raise PipeFault(f"{prefix}{character[0]!r} is not allowed here", "Remove it", 0 if name else line)
    return text


def extract_source_map(marked: str) -> tuple[str, SourceMap]:
    """A rendered text without its marks, and their source map."""
    parts: list[str] = []
    starts: list[int] = []
    lines: list[SourceLine] = []
    callers: list[SourceLine] = []
    current, copied, length = SourceLine(1), 0, 0
    for mark in MARK.finditer(marked):
        parts.append(marked[copied : mark.start()])
        length += len(parts[-1])
        copied = mark.end()
        name, line, bracket = mark.groups()
        if bracket == "(":
            callers.append(current)
            continue
        if bracket == ")":
            current = callers.pop() if callers else current
        elif name:
            current = SourceLine(callers[0].line if callers else 0, name, int(line))
        else:
            current = SourceLine(int(line))
        if starts and starts[-1] == length:
            lines[-1] = current
        else:
            starts.append(length)
            lines.append(current)
    parts.append(marked[copied:])
    return "".join(parts), SourceMap(tuple(starts), tuple(lines))
