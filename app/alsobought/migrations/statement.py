"""The one statement of a migration, parsed: its verb, its object, the commands of an ALTER."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlglot.tokenizer_core import Token

from alsobought.errors import MigrationFault
from alsobought.migrations.idempotence import (
    GUARDS,
    Command,
    alter_commands,
    reject_stored_rows,
    reject_unrepeatable,
)
from alsobought.migrations.tokens import Edit, at_top, edited, tokenize, words_of

KINDS = ("materialized view", "table", "view", "dictionary")
ALLOWED = "create, drop or alter of a table, view, materialized view or dictionary"


@dataclass(frozen=True)
class Statement:
    """`create table shop.items (…)`: verb `create`, kind `table`, name `items`, whose token is at
    `name_index`.

    `sql` begins with the reason and ends with the last token: no semicolon, no comment after it.
    """

    sql: str
    verb: str
    kind: str
    name: str
    name_index: int
    guarded: bool
    tokens: Sequence[Token] = field(repr=False, compare=False)
    commands: tuple[Command, ...] = ()

    @property
    def words(self) -> list[str]:
        return words_of(self.tokens)

    @property
    def replaces(self) -> bool:
        """True for a `create or replace`."""
        return self.words[1:3] == ["or", "replace"]

    @property
    def target(self) -> str:
        """The table that a new materialized view writes to, or an empty string."""
        words = self.words[self.name_index + 1 :]
        return self.tokens[self.name_index + 4].text if words[:1] == ["to"] and words[2:3] == ["."] else ""

    @property
    def engine(self) -> str:
        """The engine of a new table in lower case, or an empty string."""
        tops = [word for _, word in at_top(self.words)]
        return next((engine for word, _, engine in zip(tops, tops[1:], tops[2:], strict=False) if word == "engine"), "")

    def names(self, tables: Collection[str]) -> bool:
        """True if it names any of these tables of its database."""
        words, database = self.words, self.words[self.name_index - 2]
        return any(
            (first, dot) == (database, ".") and name in tables
            for first, dot, name in zip(words, words[1:], words[2:], strict=False)
        )

    def end_of(self, index: int) -> int:
        """The offset in `sql` after a token."""
        return int(self.tokens[index].end) + 1


def read_statement(sql: str, database: str) -> Statement:
    """The statement of a rendered migration.

    Raises MigrationFault unless it is one statement that may run twice; the message continues a
    file's name.

    >>> statement = read_statement("-- Why.\\ncreate table shop.items (x UInt8) engine = Log", "shop")
    >>> statement.verb, statement.kind, statement.name
    ('create', 'table', 'items')
    """
    tokens = tokenize(sql)
    words = words_of(tokens)
    if not words:
        raise MigrationFault("holds no statement", "Write one below the reason")
    if ";" in words:
        raise MigrationFault("holds more than one statement", "Put each in a file of its own")
    reject_unrepeatable(words)
    verbs = 3 if words[1:3] == ["or", "replace"] else 1
    kind = next((kind for kind in KINDS if words[verbs : verbs + len(kind.split())] == kind.split()), "")
    if words[0] not in ("create", "drop", "alter") or not kind or (words[0] == "alter" and kind != "table"):
        raise MigrationFault(f"begins with {' '.join(words[:2])!r}", f"A migration is {ALLOWED}")
    index = verbs + len(kind.split())
    guarded = words[index : index + 1] == ["if"] or verbs == 3  # a replacement may run twice as it is
    while words[index : index + 1] in (["if"], ["not"], ["exists"]):
        index += 1
    if words[index : index + 2] != [database, "."] or not re.fullmatch(r"\w+", "".join(words[index + 2 : index + 3])):
        raise MigrationFault("does not name the database", f"Write {words[0]} {kind} {{{{ database }}}}.name")
    index += 2
    if words[index + 1 : index + 3] == ["on", "cluster"]:
        raise MigrationFault("has `on cluster`", "Leave it out: `migrate up` runs on every node")
    commands = tuple(alter_commands(words, index + 1)) if words[0] == "alter" else ()
    if words[0] == "create":
        reject_stored_rows(words, kind, index)
    text = sql[: tokens[-1].end + 1]
    return Statement(text, words[0], kind, tokens[index].text, index, guarded, tokens, commands)


def repeatable(statement: Statement) -> str:
    """The text with `if not exists` and `if exists`, so that it may run twice.

    >>> repeatable(read_statement("alter table shop.items add column x UInt8, modify setting a = 1", "shop"))
    'alter table shop.items add column if not exists x UInt8, modify setting a = 1'
    """
    if statement.verb == "alter":
        words = statement.words
        guards = [
            (statement.end_of(command.first + 1), GUARDS[command.verb, command.noun])
            for command in statement.commands
            if words[command.first + 2 : command.first + 3] != ["if"]
        ]
    else:
        offset = statement.end_of(statement.name_index - 3)
        guards = [] if statement.guarded else [(offset, GUARDS[statement.verb])]
    return edited(statement.sql, [Edit(offset, offset, guard) for offset, guard in guards])
