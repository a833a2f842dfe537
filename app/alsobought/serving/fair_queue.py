"""A queue that serves groups in turn, so that a group with many entries does not hold up the others.

The groups are pipes. Each turn takes one entry of the next group; entries of one group leave in the order in which they came.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class FairQueue(Generic[Entry]):
    """Not thread-safe: whoever uses it holds a lock.

    >>> queue = FairQueue[int]()
    >>> for group, entry in [("slow", 1), ("slow", 2), ("slow", 3), ("popular", 4)]:
    ...     queue.append(group, entry)
    >>> [queue.pop() for _ in range(len(queue))]
    [1, 4, 2, 3]
    """

    def __init__(self) -> None:
        self._groups: OrderedDict[str, deque[Entry]] = OrderedDict()  # the one whose turn it is comes first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def length_of(self, group: str) -> int:
        return len(self._groups.get(group, ()))

    def append(self, group: str, entry: Entry) -> None:
        self._groups.setdefault(group, deque()).append(entry)
        self._length += 1

    def pop(self, may: Callable[[str], bool] = lambda _: True) -> Entry | None:
        """The first entry of the next group that `may` have a turn; None if there is none."""
        group = next(filter(may, self._groups), None)
        if group is None:
            return None
        entries = self._groups[group]
        entry = entries.popleft()
        self._length -= 1
        if entries:
            self._groups.move_to_end(group)
        else:
            del self._groups[group]
        return entry

    def remove(self, group: str, entry: Entry) -> bool:
        """False if it is not there any more."""
        entries = self._groups.get(group, deque())
        try:
            entries.remove(entry)
        except ValueError:
            return False
        self._length -= 1
        if not entries:
            del self._groups[group]
        return True
