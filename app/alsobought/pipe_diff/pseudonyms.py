"""Replace the ids of users in a report by pseudonyms.

Every value of a parameter or column that identifies a user becomes "user 1", "user 2" …, the same one throughout.
"""

from __future__ import annotations

import re
from typing import Any

from alsobought.pipe_diff.requests import Request

USER_WORDS = {"user", "session", "guest", "person", "customer", "shopper", "visitor", "buyer", "email"}
USER_WORDS |= {"account", "member", "viewer", "uid"}


def identifies_user(name: str) -> bool:
    """True if a parameter or column of this name identifies a user.

    >>> [identifies_user(name) for name in ("user_id", "userIds", "shoppers", "item_id")]
    [True, True, True, False]
    """
    words = [word.removesuffix("s") for word in name.lower().split("_")]
    return any(word in USER_WORDS or word.removesuffix("id") in USER_WORDS for word in words)


class Pseudonyms:
    """Numbers users in the order in which they appear. With `with_users`, values stay as they are."""

    def __init__(self, with_users: bool) -> None:
        self._with_users = with_users
        self._numbers: dict[str, str] = {}

    def value(self, column: str, value: str) -> str:
        """The value as the report may contain it."""
        if not self._hides(column):
            return value
        return self._numbers.setdefault(value, f"user {len(self._numbers) + 1}")

    def parameters(self, request: Request) -> dict[str, list[Any]]:
        return {
            name: [self.value(name, str(value)) for value in values] if self._hides(name) else list(values)
            for name, values in request.parameters.items()
        }

    def error(self, request: Request, text: str) -> str:
        """The error; if it is about a user's value, which it may quote, cut or split, only the parameter's name."""
        names = [
            name
            for name, values in request.parameters.items()
            if self._hides(name)
            and (re.search(rf"(^|; ){re.escape(name)}: ", text) or any(repr(value) in text for value in values))
        ]
        return "; ".join(f"a value of {name} was rejected" for name in names) or text

    def _hides(self, name: str) -> bool:
        return not self._with_users and identifies_user(name)
