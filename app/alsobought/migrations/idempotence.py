"""Idempotence of statements: harmful ones are rejected, others get `if not exists` or `if exists`.

A run may be killed after a statement and before its row in the journal; the next run repeats the
statement.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from alsobought.errors import MigrationFault
from alsobought.migrations.tokens import at_top

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
COMMANDS = [command for command in GUARDS if isinstance(command, tuple)]
COMMAND_VERBS = ("add", "drop", "modify", "rename", "update", "delete", "clear", "attach", "detach")
REJECTED = {
    "insert": ("would store its rows twice", "Let a view derive the rows, or load them with a command"),
    "rename": ("fails the second time", "Create the new one here and drop the old one in a later migration"),
    "exchange": ("would swap them back", "Create the new one here and drop the old one in a later migration"),
    "truncate": (
        "would also delete the rows stored since",
        "Drop the table here and create it again in the next migration",
    ),
}


@dataclass(frozen=True)
class Command:
    """One part of an ALTER: `add column x UInt8` is the words from index `first` to before `end`."""

    verb: str
    noun: str
    first: int
    end: int


def reject_unrepeatable(words: list[str]) -> None:
    """Raises MigrationFault for a verb that does harm the second time."""
    if words[0] in REJECTED:
        harm, instead = REJECTED[words[0]]
        raise MigrationFault(f"is an `{words[0]}`, which cannot be repeated: after a kill it {harm}", instead)
    if words[:3] == ["create", "or", "replace"] and words[3:4] != ["dictionary"]:  # which stores nothing of its own
        raise MigrationFault(
            "is a `create or replace`, which drops the existing one", "Drop it in a migration of its own"
        )


def reject_stored_rows(words: list[str], kind: str, name_index: int) -> None:
    """Raises MigrationFault for a CREATE that stores rows: killed halfway, it would seem done."""
    top = [word for index, word in at_top(words) if index > name_index]
    selects = any(word == "as" and after in ("select", "with", "(") for word, after in itertools.pairwise(top))
    if kind == "table" and selects:
        raise MigrationFault("is a `create table … as select`, which may stop halfway", "Create it empty, with a view")
    if kind == "materialized view" and "populate" in top[: top.index("as") if "as" in top else None]:
        raise MigrationFault("has `populate`, which may stop halfway and misses events", "Leave it out")


def alter_commands(words: list[str], first: int) -> Iterator[Command]:
    """The parts of an ALTER, from word `first` on.

    Raises MigrationFault for one that is not known to be repeatable.

    A comma also separates the settings of one `modify setting`.
    """
    commas = [index for index, word in at_top(words) if word == "," and index > first]
    in_list = False
    starts = []
    for start in [first, *(index + 1 for index in commas)]:
        command = (words[start], "".join(words[start + 1 : start + 2])) if start < len(words) else ("", "")
        if command in COMMANDS:
            starts.append((start, command))
            in_list = command[1] in ("setting", "ttl")
        elif not in_list or command[0] in COMMAND_VERBS:
            raise MigrationFault(
                f"has `alter table … {' '.join(command)}`, which is not known to be repeatable",
                f"It may {', '.join(' '.join(command) for command in COMMANDS)}",
            )
    ends = [start - 1 for start, _ in starts[1:]] + [len(words)]
    for (start, (verb, noun)), end in zip(starts, ends, strict=True):
        yield Command(verb, noun, start, end)
