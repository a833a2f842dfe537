"""What recorded requests say about people, and a report that does not.

Whatever stands in a parameter or a column that names a person becomes "person 1", "person 2" …, the same one throughout.
"""

from __future__ import annotations

import re
from typing import Any

from alsobought.pipe_diff.requests import Request

PEOPLE = {"user", "session", "guest", "person", "customer", "shopper", "visitor", "buyer", "email"}
PEOPLE |= {"account", "member", "viewer", "uid"}


def names_a_person(name: str) -> bool:
    """Whether a parameter or column tells who somebody is, as far as its name says so.

    >>> [names_a_person(name) for name in ("user_id", "userIds", "shoppers", "item_id")]
    [True, True, True, False]
    """
    words = [word.removesuffix("s") for word in name.lower().split("_")]
    return any(word in PEOPLE or word.removesuffix("id") in PEOPLE for word in words)


class People:
    """Stands for people by number, or lets their names pass."""

    def __init__(self, named: bool) -> None:
        self._named = named
        self._numbers: dict[str, str] = {}

    def shown(self, column: str, value: str) -> str:
        """The value as the report may show it."""
        if not self._hides(column):
            return value
        return self._numbers.setdefault(value, f"person {len(self._numbers) + 1}")

    def parameters(self, request: Request) -> dict[str, list[Any]]:
        return {
            name: [self.shown(name, str(value)) for value in values] if self._hides(name) else list(values)
            for name, values in request.parameters.items()
        }

    def error(self, request: Request, text: str) -> str:
        """The error, or only which parameters it is about: it repeats a value whole, cut or in pieces."""
        refused = [
            name
            for name, values in request.parameters.items()
            if self._hides(name)
            and (re.search(rf"(^|; ){re.escape(name)}: ", text) or any(repr(value) in text for value in values))
        ]
        return "; ".join(f"a value of {name} is refused" for name in refused) or text

    def _hides(self, name: str) -> bool:
        return not self._named and names_a_person(name)
