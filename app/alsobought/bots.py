"""Bots: programs that visit a shop, known by their user agent. Their events are no interest of a person's. Pure.

Which user agents are those of bots is a file, `sql/bots.csv` (`pipes.bot_file`). A backend's library, such as
python-requests, is in it only if a shop puts it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

ANY = "*"
FILE = "sql/bots.csv"
USER_AGENT = "user_agent"  # the property of an event that a backend sends in the name of a browser
MAX_LENGTH = 1_000  # of a user agent that is examined
FEWEST_CHARACTERS = 3  # of a pattern, besides wildcards
PEOPLE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148"
    " Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
)
"""User agents of browsers, which no pattern may match."""


class Bots:
    """Patterns of user agents: a text that is in one, in any case; `*` stands for any text.

    >>> bots = Bots(["Googlebot", "Chrome-Lighthouse"])
    >>> bots.name_of("Mozilla/5.0 (compatible; googlebot/2.1; +http://www.google.com/bot.html)")
    'Googlebot'
    >>> bots.name_of("python-requests/2.32")
    ''
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self._parts = [(pattern, pattern.lower().split(ANY)) for pattern in self.patterns]
        self.name_of = lru_cache(maxsize=4096)(self._name_of)

    def _name_of(self, user_agent: str) -> str:
        """The first pattern that matches a user agent, which is what the bot is called; empty if none does."""
        text = user_agent[:MAX_LENGTH].lower()
        return next((pattern for pattern, parts in self._parts if _in_order(parts, text)), "")


def _in_order(parts: Sequence[str], text: str) -> bool:
    """True if the text has all parts, one after the other."""
    position = 0
    for part in parts:
        start = text.find(part, position)
        if start < 0:
            return False
        position = start + len(part)
    return True


def pattern_problem(pattern: str) -> tuple[str, str] | None:
    """The problem of a pattern that would drop the events of people, and a hint."""
    if len(pattern.replace(ANY, "").replace(" ", "")) < FEWEST_CHARACTERS:
        return f"{pattern} is too short", f"Write at least {FEWEST_CHARACTERS} characters besides {ANY}"
    bots = Bots([pattern])
    if browser := next(filter(bots.name_of, PEOPLE), ""):
        return f"{pattern} matches browsers of people: {browser}", "Write the name of the bot"
    return None
