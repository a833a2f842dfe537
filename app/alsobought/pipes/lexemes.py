"""Split SQL into words, signs, numbers and literals, as far as ClickHouse and sqlglot agree on them.

Everything else is refused: with curly quotes, $tags$, invisible letters, nested comments or escapes, one
of them could see a comment where the other sees a function.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

LEXEME = re.compile(
    r"""
    (?P<space>[ \t\n]+)
  | (?P<comment>--[^\n\r]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>"[A-Za-z0-9_ .]+"|`[A-Za-z0-9_ .]+`)
  | (?P<parameter>\{[a-z][a-z0-9_]*:[A-Za-z0-9(),' ]+\})
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)
  | (?P<sign>\|\||/(?![/*])|[-+*%=<>!.,()\[\]:?])
    """,
    re.VERBOSE | re.DOTALL,
)
PLAIN_HINT = "Outside quotes, use plain letters, digits and the signs of SQL only"
HINTS = {
    ";": "A pipe is one statement: remove the semicolon",
    "{": "Write a parameter as {{ name }}, and a map as map('key', value)",
    "'": "A quote is not closed",
}


class Unreadable(ValueError):
    """The text cannot be split from this offset on."""

    def __init__(self, offset: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.offset, self.message, self.hint = offset, message, hint


@dataclass(frozen=True, slots=True)
class Lexeme:
    kind: str
    text: str
    offset: int  # of its first character

    @property
    def name(self) -> str:
        """The name for comparisons: without quotes, in lower case."""
        return self.text.strip('"`').lower()

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted")


NO_LEXEME = Lexeme("", "", 0)


def lexemes(sql: str) -> list[Lexeme]:
    """All lexemes of a text, including spaces and comments. Raises Unreadable."""
    result: list[Lexeme] = []
    offset = 0
    while offset < len(sql):
        match = LEXEME.match(sql, offset)
        if not match:
            raise Unreadable(offset, f"{sql[offset]!r} is not allowed here", HINTS.get(sql[offset], PLAIN_HINT))
        result.append(Lexeme(match.lastgroup or "", match[0], offset))
        offset = match.end()
    return result


def argument_end(code: Sequence[Lexeme], index: int) -> int:
    """The index of the comma or closing bracket after the argument that starts here."""
    depth = 0
    while index < len(code):
        sign = code[index].text
        if depth == 0 and sign in (",", ")", "]"):
            return index
        depth += (sign in ("(", "[")) - (sign in (")", "]"))
        index += 1
    return index


def is_lambda(code: Sequence[Lexeme], index: int) -> bool:
    """True if `x ->` or `(x, y) ->` starts here."""
    if code[index].text == "(":
        index += 1
        while index + 1 < len(code) and code[index].kind == "word" and code[index + 1].text == ",":
            index += 2
        end = index + 2 if index + 1 < len(code) and code[index + 1].text == ")" else len(code)
    else:
        end = index + 1
    arrow = code[end : end + 2]
    return (
        code[index].kind == "word"
        and [sign.text for sign in arrow] == ["-", ">"]
        and arrow[0].offset + 1 == arrow[1].offset  # not `x - > y`
    )


def words_in(literal: Lexeme) -> Collection[str]:
    """The words of a string literal in lower case; none for other lexemes."""
    return re.findall(r"\w+", literal.text.lower()) if literal.kind == "string" else ()
