"""Whom a pipe is about: its parameters and columns that name a user decide whether it is private.

A private pipe shows one user's data to whoever asks, so that a key which everybody can read may not ask it. A parameter that a
request may leave out makes only those requests private that give it. `@private` and `@public` in the header override this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alsobought.pipes.pipe import Pipe

PEOPLE = "user|guest|session|visitor|customer|buyer|shopper|member|account|person|profile"
USER_NAME = re.compile(rf"(?:.*_)?(?:(?:{PEOPLE})_?(?:ids?|keys?|uuid|hash)|e?mail|phone)(?:_?\d+)?", re.IGNORECASE)
USER_COLUMN = r"(?:\w+\.)?(?:user_id|guest_id|session_id)"
COMPARED = re.compile(rf"\b{USER_COLUMN}\s*(?:=|in)\s*\(?\s*\{{(\w+):", re.IGNORECASE)
RENAMED = re.compile(rf"\b{USER_COLUMN}\s+as\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Audience:
    """`parameters` take a user, of which `needed` must be given; `columns` show one. `declared` is that of the header, if any."""

    parameters: frozenset[str] = frozenset()
    needed: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()
    declared: str = ""

    @property
    def private(self) -> bool:
        """True if every answer is about a user."""
        return self.declared == "private" or (not self.declared and bool(self.needed or self.columns))

    def is_private_with(self, given: Collection[str]) -> bool:
        """True if the answer to a request with these parameters is about a user."""
        return self.private or (not self.declared and not self.parameters.isdisjoint(given))


def names_user(name: str) -> bool:
    """True if a parameter or a column of this name holds the id of a user.

    >>> [names_user(name) for name in ("user_id", "other_user_id", "guest_ids", "userId", "users", "item_id")]
    [True, True, True, True, False, False]
    """
    return bool(USER_NAME.fullmatch(name))


def own_audience(pipe: Pipe) -> Audience:
    """Of the pipe alone, by names, and by the columns of users in its SQL."""
    sql = pipe.sql([p.name for p in pipe.parameters])
    compared, renamed = set(COMPARED.findall(sql)), set(RENAMED.findall(sql))
    parameters = {
        p.name for p in pipe.parameters if p.name in compared or any(map(names_user, (p.name, *p.former_names)))
    }
    columns = {name for name, _ in pipe.columns if names_user(name) or name in renamed}
    needed = {p.name for p in pipe.parameters if p.required and p.name in parameters}
    return Audience(frozenset(parameters), frozenset(needed), frozenset(columns), pipe.header.audience)


def audience(pipe: Pipe, find: Callable[[str], Pipe | None]) -> Audience:
    """With its fallbacks: a pipe that is filled from a private one is private, and one that shows a user's column of theirs."""
    own = pipe.audience
    if own.declared:
        return own
    columns, declared, link, seen = set(own.columns), "", pipe, {pipe.name}
    while fallback := link.header.fallback:
        following = find(fallback.pipe)
        if following is None or following.name in seen:
            break
        shown = {name: fallback.renamed.get(name, name) for name in following.audience.columns}
        columns |= {name for name in shown.values() if name in dict(pipe.columns)}
        if following.audience.declared == "private":
            declared = "private"
        seen.add(following.name)
        link = following
    return Audience(own.parameters, own.needed, frozenset(columns), declared)
