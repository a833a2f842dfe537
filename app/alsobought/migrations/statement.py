"""The one statement of a migration: what it does to what, and how to write it so that it may run twice.

A run may be killed after a statement and before its line in the journal, so a statement that does harm the second time is
refused. `if not exists` and `if exists` are put in here; a file need not say them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import sqlglot
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from alsobought.errors import MigrationFault

KINDS = ("materialized view", "table", "view", "dictionary")
GUARDS = {
    "create": " if not exists",
    "drop": " if exists",
    ("add", "column"): " if not exists",
    ("add", "index"): " if not exists",
    ("add", "projection"): " if not exists",
    ("add", "constraint"): " if not exists",
    ("drop", "column"): " if exists",
    ("drop", "index"): " if exists",
    ("drop", "projection"): " if exists",
    ("drop", "constraint"): " if exists",
    ("modify", "column"): " if exists",
    ("comment", "column"): " if exists",
    ("modify", "comment"): "",
    ("modify", "setting"): "",
    ("modify", "ttl"): "",
    ("reset", "setting"): "",
    ("materialize", "column"): "",
    ("materialize", "index"): "",
    ("materialize", "projection"): "",
    ("materialize", "ttl"): "",
}
COMMANDS = [guarded for guarded in GUARDS if isinstance(guarded, tuple)]
ALLOWED = "create, drop or alter of a table, view, materialized view or dictionary"
REFUSED = {
    "insert": ("would store its rows twice", "Let a view derive the rows, or load them with a command"),
    "rename": ("fails the second time", "Create the new one here and drop the old one in a later migration"),
    "exchange": ("would swap them back", "Create the new one here and drop the old one in a later migration"),
    "truncate": ("would also empty what came since", "Drop the table here and create it again in the next migration"),
}


@dataclass(frozen=True)
class Command:
    """One part of an ALTER: `add column x UInt8` is the words from `first` to before `end`."""

    verb: str
    noun: str
    first: int
    end: int


@dataclass(frozen=True)
class Statement:
    """`create table shop.items (…)`: verb `create`, kind `table`, name `items`. `at` is the place of `items` in `tokens`.

    `sql` begins with the reason and ends with the last word: no semicolon, no comment behind it.
    """

    sql: str
    verb: str
    kind: str
    name: str
    at: int
    guarded: bool
    tokens: Sequence[Token] = field(repr=False, compare=False)
    commands: tuple[Command, ...] = ()

    @property
    def words(self) -> list[str]:
        return _words(self.tokens)

    def after(self, place: int) -> int:
        """The place in the text behind a token."""
        return int(self.tokens[place].end) + 1


@dataclass(frozen=True)
class Edit:
    """`text` in place of what stands from `start` to before `end`."""

    start: int
    end: int
    text: str


def edited(sql: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; their places are those of the text as it was.

    >>> edited("create table t", [Edit(12, 12, " if not exists"), Edit(13, 14, "u")])
    'create table if not exists u'
    """
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        sql = sql[: edit.start] + edit.text + sql[edit.end :]
    return sql


def read_statement(sql: str, database: str) -> Statement:
    """What a rendered migration does.

    Raises MigrationFault for what is not one statement, or cannot be repeated; the message goes on after a file's name.

    >>> made = read_statement("-- Why.\\ncreate table shop.items (x UInt8) engine = Log", "shop")
    >>> made.verb, made.kind, made.name
    ('create', 'table', 'items')
    """
    tokens = _tokens(sql)
    words = _words(tokens)
    if not words:
        raise MigrationFault("holds no statement", "Write one below the reason")
    if ";" in words:
        raise MigrationFault("holds more than one statement", "Make a file of each: a file is done or not done")
    _refuse_unrepeatable(words)
    kind = next((kind for kind in KINDS if words[1 : 1 + len(kind.split())] == kind.split()), "")
    if words[0] not in ("create", "drop", "alter") or not kind or (words[0] == "alter" and kind != "table"):
        raise MigrationFault(f"begins with {' '.join(words[:2])!r}", f"A migration is {ALLOWED}")
    at = 1 + len(kind.split())
    guarded = words[at : at + 1] == ["if"]
    while words[at : at + 1] in (["if"], ["not"], ["exists"]):
        at += 1
    if words[at : at + 2] != [database, "."] or not re.fullmatch(r"\w+", "".join(words[at + 2 : at + 3])):
        raise MigrationFault("does not name the database", f"Write {words[0]} {kind} {{{{ database }}}}.name")
    at += 2
    if words[at + 1 : at + 3] == ["on", "cluster"]:
        raise MigrationFault("says `on cluster`", "Leave it out: the setting `cluster` puts it in")
    commands = tuple(_commands(words, at + 1)) if words[0] == "alter" else ()
    if words[0] == "create":
        _refuse_rows(words, kind, at)
    return Statement(sql[: tokens[-1].end + 1], words[0], kind, tokens[at].text, at, guarded, tokens, commands)


def repeatable(statement: Statement) -> str:
    """The text that may run twice.

    >>> repeatable(read_statement("alter table shop.items add column x UInt8, modify setting a = 1", "shop"))
    'alter table shop.items add column if not exists x UInt8, modify setting a = 1'
    """
    if statement.verb == "alter":
        words = statement.words
        places = [
            (statement.after(command.first + 1), GUARDS[command.verb, command.noun])
            for command in statement.commands
            if words[command.first + 2 : command.first + 3] != ["if"]
        ]
    else:
        places = [(statement.after(statement.at - 3), GUARDS[statement.verb])] if not statement.guarded else []
    return edited(statement.sql, [Edit(place, place, text) for place, text in places])


def at_top(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The words outside all brackets, with their places."""
    depth = 0
    for place, word in enumerate(words):
        depth -= word in (")", "]")
        if not depth:
            yield place, word
        depth += word in ("(", "[")


def _tokens(sql: str) -> list[Token]:
    try:
        tokens = sqlglot.tokenize(sql, read="clickhouse")
    except SqlglotError as error:
        raise MigrationFault("cannot be read: a quote or a comment does not end") from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    return tokens


def _words(tokens: Iterable[Token]) -> list[str]:
    """In lower case; a text in quotes is no word, whatever it says."""
    return ["''" if token.token_type is TokenType.STRING else token.text.lower() for token in tokens]


def _refuse_unrepeatable(words: list[str]) -> None:
    if words[0] in REFUSED:
        harm, instead = REFUSED[words[0]]
        raise MigrationFault(f"is an `{words[0]}`, which cannot be repeated: after a kill it {harm}", instead)
    if words[:3] == ["create", "or", "replace"]:
        raise MigrationFault("is a `create or replace`, which drops what is there", "Drop it in a migration of its own")


def _refuse_rows(words: list[str], kind: str, at: int) -> None:
    """A CREATE that also stores rows is not done by existing: killed half-way, it would be taken for done."""
    top = [word for place, word in at_top(words) if place > at]
    fills = any(word == "as" and after in ("select", "with", "(") for word, after in itertools.pairwise(top))
    if kind == "table" and fills:
        raise MigrationFault("is a `create table … as select`, which may stop half-way", "Create it empty, with a view")
    if kind == "materialized view" and "populate" in top[: top.index("as") if "as" in top else None]:
        raise MigrationFault("says `populate`, which may stop half-way and misses events", "Leave it out")


def _commands(words: list[str], first: int) -> Iterator[Command]:
    """The parts of an ALTER. A comma also stands between the settings of one `modify setting`."""
    commas = [place for place, word in at_top(words) if word == "," and place > first]
    starts = [first, *(place + 1 for place in commas)]
    lists = False
    kept = []
    for start in starts:
        pair = (words[start], "".join(words[start + 1 : start + 2])) if start < len(words) else ("", "")
        if pair in COMMANDS:
            kept.append((start, pair))
            lists = pair[1] in ("setting", "ttl")
        elif not lists or pair[0] in (
            "add",
            "drop",
            "modify",
            "rename",
            "update",
            "delete",
            "clear",
            "attach",
            "detach",
        ):
            raise MigrationFault(
                f"says `alter table … {' '.join(pair)}`, which is not known to be repeatable",
                f"It may {', '.join(' '.join(command) for command in COMMANDS)}",
            )
    ends = [start - 1 for start, _ in kept[1:]] + [len(words)]
    for (start, (verb, noun)), end in zip(kept, ends, strict=True):
        yield Command(verb, noun, start, end)
