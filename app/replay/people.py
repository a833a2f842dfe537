"""What recorded requests say about people, and a report that does not.

Whatever stands in a parameter or a column that names a person becomes "person 1", "person 2" …, the same one throughout.
"""

from __future__ import annotations

from typing import Any

from app.replay.requests import Request

PEOPLE = frozenset({"user", "session", "guest", "person", "customer", "shopper", "visitor", "buyer", "email"})
CUT = 57  # characters of a value that `app/pipes/parameters.py` says back


def names_a_person(name: str) -> bool:
    """Whether a parameter or column tells who somebody is, as far as its name says so.

    >>> names_a_person("user_id"), names_a_person("item_id")
    (True, False)
    """
    return not PEOPLE.isdisjoint(name.lower().split("_"))


class People:
    """Stands for people by number, or lets their names pass."""

    def __init__(self, named: bool) -> None:
        self._named = named
        self._numbers: dict[str, str] = {}

    def shown(self, column: str, value: str) -> str:
        """The value as the report may show it."""
        if self._named or not names_a_person(column):
            return value
        return self._numbers.setdefault(value, f"person {len(self._numbers) + 1}")

    def parameters(self, request: Request) -> dict[str, list[Any]]:
        hidden = {name for name in request.parameters if not self._named and names_a_person(name)}
        return {
            name: [self.shown(name, str(value)) for value in values] if name in hidden else list(values)
            for name, values in request.parameters.items()
        }

    def error(self, request: Request, text: str) -> str:
        """An error repeats the value it is about, in quotes, and cuts a long one."""
        for name, values in request.parameters.items():
            for value in values if names_a_person(name) and not self._named else ():
                for said in (repr(value), repr(value)[:CUT]):
                    if said in text:
                        text = text.replace(said, self.shown(name, str(value)))
        return text
