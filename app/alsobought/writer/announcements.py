"""Stored batches that are announced again later: answers computed in between may lack something of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from alsobought.writer.rows import EventRow

MAX_ROWS = 20_000

OnStored = Callable[[Iterable[EventRow], float | None], None]
"""Called with stored rows, and the monotonic time at which the first was accepted; without it if somebody waits for them."""
OnUsers = Callable[[list[str], float | None], None]
"""Called with the ids of users whose attributes changed, and that time."""
Announced = tuple[Sequence[EventRow], float | None]


class Announcements:
    """Of more than MAX_ROWS it keeps none, and says that anything may have changed. For the writer's thread."""

    def __init__(self) -> None:
        self._batches: list[Announced] = []
        self._rows = 0

    def add(self, announced: Announced) -> None:
        self._rows += len(announced[0])
        if self._rows > MAX_ROWS:
            self.add_everything()
        else:
            self._batches.append(announced)

    def add_everything(self) -> None:
        """What is announced again may be anything."""
        self._rows = MAX_ROWS + 1
        self._batches.clear()

    def repeat(self, on_stored: OnStored, on_any_change: Callable[[], None]) -> None:
        """Announces all of them again, and forgets them."""
        if self._rows > MAX_ROWS:
            on_any_change()
        for announced in self._batches:
            on_stored(*announced)
        self.clear()

    def clear(self) -> None:
        self._batches.clear()
        self._rows = 0
