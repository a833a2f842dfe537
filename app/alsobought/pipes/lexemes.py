"""A text as its words, signs, numbers and quotes: only those that the engine and sqlglot read alike.

Where they differ (curly quotes, $tags$, invisible letters, comments in comments, escapes) one could see a comment where the
other sees a function: nothing else passes.
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
HINTS = {
    ";": "A pipe is one statement: take the semicolon away",
    "{": "A parameter is written as {{ name }}, a map as map('key', value)",
    "'": "A quote is never closed",
}


class Unreadable(ValueError):
    """Nothing is read from this place on."""

    def __init__(self, at: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.at, self.message, self.hint = at, message, hint


@dataclass(frozen=True, slots=True)
class Lexeme:
    kind: str
    text: str
    at: int  # its first character in the text

    @property
    def name(self) -> str:
        """As names are compared: without quotes, in lower case."""
        return self.text.strip('"`').lower()

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "quoted")


NOTHING = Lexeme("", "", 0)


def lexemes(sql: str) -> list[Lexeme]:
    """All of a text, spaces and comments too. Raises Unreadable."""
    found: list[Lexeme] = []
    place = 0
    while place < len(sql):
        match = LEXEME.match(sql, place)
        if not match:
            raise Unreadable(place, f"{sql[place]!r} cannot be read here", HINTS.get(sql[place], ""))
        found.append(Lexeme(match.lastgroup or "", match[0], place))
        place = match.end()
    return found


def argument_end(code: Sequence[Lexeme], at: int) -> int:
    """Where the argument that begins here ends: at the comma behind it, or at the bracket that closes the call."""
    depth = 0
    while at < len(code):
        sign = code[at].text
        if depth == 0 and sign in (",", ")", "]"):
            return at
        depth += (sign in ("(", "[")) - (sign in (")", "]"))
        at += 1
    return at


def is_lambda(code: Sequence[Lexeme], at: int) -> bool:
    """Whether `x ->` or `(x, y) ->` stands here."""
    if code[at].text == "(":
        at += 1
        while at + 1 < len(code) and code[at].kind == "word" and code[at + 1].text == ",":
            at += 2
        end = at + 2 if at + 1 < len(code) and code[at + 1].text == ")" else len(code)
    else:
        end = at + 1
    arrow = code[end : end + 2]
    return (
        code[at].kind == "word"
        and [sign.text for sign in arrow] == ["-", ">"]
        and arrow[0].at + 1 == arrow[1].at  # `x - > y` is something else
    )


def words_of(literal: Lexeme) -> Collection[str]:
    """The words in a quoted text, in lower case; none if it is no text."""
    return re.findall(r"\w+", literal.text.lower()) if literal.kind == "string" else ()
