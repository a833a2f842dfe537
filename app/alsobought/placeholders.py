"""Placeholders: what a page sends as an id before it knows one, such as `undefined`. Pure.

Everybody without a cookie would be that one user, so a placeholder is nobody. Which texts are
placeholders is a file, `sql/placeholders.csv` (`pipes.placeholder_file`).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import Protocol

BLANKS = " \t\r\n\v\f\u00a0\u200b\ufeff\"'`"  # and quotes, of a text that was encoded twice
ANY = "*"
ZERO = "0"  # stands for zeros in any spelling: 00, 0.0, {00000000-0000-0000-0000-000000000000}
ZEROS = r"[-+.({]*0[-x.0]*[)}]*"
FILE = "sql/placeholders.csv"
ZERO_FIRST, ZERO_LAST = "0-+.({", "0-x.)}"


class Ids(Protocol):
    """The ids of an event."""

    event_id: str
    user_id: str
    session_id: str
    item_id: str
    order_id: str


class Texts:
    """A set of texts that ignores case, surrounding blanks and quotes. In its members `*` stands for any text.

    >>> texts = Texts(["undefined", "0", "{{*}}"])
    >>> [text in texts for text in ("undefined", ' "Undefined" ', "{{ user_id }}", "0", "00000000-0000-0000-0000-000000000000")]
    [True, True, True, True, True]
    >>> [text in texts for text in ("undefined-7", "007", "{{", "-", "")]
    [False, False, False, False, False]

    A text in it begins with a character of `first` and ends with one of `last`: few ids do, and the others need no closer look.
    """

    def __init__(self, members: Iterable[str] = ()) -> None:
        self.members = tuple(dict.fromkeys(member.strip(BLANKS).lower() for member in members))
        zeros = ZERO in self.members
        patterns = [".*".join(map(re.escape, member.split(ANY))) for member in self.members if ANY in member]
        self._plain = frozenset(member for member in self.members if ANY not in member)
        self._matches = re.compile("|".join([*patterns, *([ZEROS] if zeros else [])]), re.DOTALL).fullmatch
        wild = [member[:1] for member in self.members if ANY in member]
        self._first_of_patterns = _characters([*wild, *(ZERO_FIRST if zeros else "")])
        self.first = _characters([*(member[:1] for member in self.members), *(ZERO_FIRST if zeros else "")])
        self.last = _characters([*(member[-1:] for member in self.members), *(ZERO_LAST if zeros else "")])

    def __contains__(self, text: str) -> bool:
        plain = text.strip(BLANKS).lower()
        if not plain:
            return text != ""
        return plain in self._plain or (plain[0] in self._first_of_patterns and self._matches(plain) is not None)


def _characters(characters: Iterable[str]) -> Container[str]:
    """These in both cases, and blanks; any character if one of them is the wildcard."""
    own = set(characters)
    return Everything() if ANY in own else frozenset({*BLANKS, *own, *map(str.upper, own)})


class Everything:
    def __contains__(self, _: object) -> bool:
        return True


class Placeholders:
    """`nobody`: placeholders as a user_id or session_id. `nothing`: those which are placeholders as any other id, too."""

    __slots__ = ("_first", "_last", "nobody", "nothing")

    def __init__(self, nobody: Iterable[str] = (), nothing: Iterable[str] = ()) -> None:
        as_any_id = list(nothing)
        self.nobody, self.nothing = Texts([*as_any_id, *nobody]), Texts(as_any_id)
        self._first, self._last = self.nobody.first, self.nobody.last

    def clear(self, event: Ids) -> str:
        """Clears the placeholders among the ids of an event. Returns the problem if it then lacks a user or an item.

        Called for every event and written for speed: the first character of an id tells most that are none.
        """
        first, user, session = self._first, event.user_id, event.session_id
        if (
            (user and user[-1] in self._last and user[0] in first and user in self.nobody)
            or (session and session[0] in first and session[-1] in self._last and session in self.nobody)
            or (event.item_id and event.item_id[0] in first and event.item_id in self.nothing)
            or (event.order_id and event.order_id[0] in first and event.order_id in self.nothing)
            or (event.event_id and event.event_id[0] in first and event.event_id in self.nothing)
        ):
            return self._clear(event)
        return ""

    def _clear(self, event: Ids) -> str:
        user, session = event.user_id, event.session_id
        if problem := self.item_problem(event.item_id):
            return f"{problem}; send the event once the item is known ({FILE})"
        if user in self.nobody:
            event.user_id = ""
        if session in self.nobody:
            event.session_id = ""
        if event.order_id in self.nothing:
            event.order_id = ""
        if event.event_id in self.nothing:
            event.event_id = ""
        if event.user_id or event.session_id:
            return ""
        if user:
            return f"{self.user_problem('user_id', user)}; leave it out, and send the session_id of the guest ({FILE})"
        problem = f"session_id: {session!r} is a placeholder, not a session"
        return f"{problem}; send the event once its session or user is known ({FILE})"

    @property
    def members(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The two lists."""
        return self.nobody.members, self.nothing.members

    def user_problem(self, field: str, user: str) -> str:
        """The problem of a user, or an empty string."""
        return f"{field}: {user!r} is a placeholder, not a user" if user in self.nobody else ""

    def item_problem(self, item: str) -> str:
        """The problem of an item of the catalogue, or an empty string."""
        return f"item_id: {item!r} is a placeholder, not an item" if item in self.nothing else ""
