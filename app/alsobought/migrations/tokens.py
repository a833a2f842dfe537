"""SQL as tokens of ClickHouse's dialect, and edits of a text at token positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from alsobought.errors import MigrationFault


@dataclass(frozen=True)
class Edit:
    """Replaces the text from offset `start` to before `end`."""

    start: int
    end: int
    text: str


def edited(sql: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; their offsets are those of the original text.

    >>> edited("create table t", [Edit(12, 12, " if not exists"), Edit(13, 14, "u")])
    'create table if not exists u'
    """
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        sql = sql[: edit.start] + edit.text + sql[edit.end :]
    return sql


def tokenize(sql: str) -> list[Token]:
    """The tokens without semicolons at the end.

    Raises MigrationFault where a quote or a comment does not end.
    """
    try:
        tokens = sqlglot.tokenize(sql, read="clickhouse")
    except SqlglotError as error:
        raise MigrationFault("cannot be read: a quote or a comment does not end") from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    return tokens


def words_of(tokens: Iterable[Token]) -> list[str]:
    """The tokens in lower case, string literals as `''`: their text is never a keyword."""
    return ["''" if token.token_type is TokenType.STRING else token.text.lower() for token in tokens]


def at_top(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """(index, word) of the words outside all brackets."""
    depth = 0
    for index, word in enumerate(words):
        depth -= word in (")", "]")
        if not depth:
            yield index, word
        depth += word in ("(", "[")
