"""Let the HTTP processes of one service wait for each other: after the 200 of `?wait=true` none of them has a stale answer.

Each process follows the writer on its own (`serving.visibility`). One whose caller waits asks the others to refresh, in memory
that all share, and waits until each has. Times are monotonic: one clock for all processes of a machine.
"""

from __future__ import annotations

import math
import mmap
import time

from alsobought.errors import Busy

MAX_PROCESSES = 64
SLOTS = 2 * MAX_PROCESSES  # while the server replaces its processes, there are twice as many
REQUESTED = SLOTS  # the index behind the slots: when a refresh was last requested
FIRST_SLOT = 0
ABSENT = math.inf
WAIT_SECONDS, POLL_SECONDS = 5.0, 0.005


class Siblings:
    """Create it before the processes are forked. The parent hands out slots, each process joins with its own.

    A slot has the time at which the last requested refresh of its process began. A process alone is its only sibling.
    """

    def __init__(self) -> None:
        self._times = memoryview(mmap.mmap(-1, 8 * (SLOTS + 1))).cast("d")
        self._free = set(range(SLOTS))
        self._slot = FIRST_SLOT
        for slot in range(SLOTS):
            self._times[slot] = ABSENT

    def take_slot(self) -> int:
        """The lowest free slot, for a process that is about to be forked."""
        slot = min(self._free)
        self._free.remove(slot)
        return slot

    def free_slot(self, slot: int) -> None:
        """Free the slot of a process that has ended."""
        self._times[slot] = ABSENT
        self._free.add(slot)

    def join(self, slot: int) -> None:
        """Use this slot, in the process that it was taken for."""
        self._slot = slot

    def start(self) -> None:
        """From now on others wait for this process."""
        self._times[self._slot] = 0.0

    def stop(self) -> None:
        self._times[self._slot] = ABSENT

    @property
    def is_requested(self) -> bool:
        """True if a refresh was requested since the last one of this process began."""
        return self._times[REQUESTED] > self._times[self._slot]

    def record_refresh(self, began_at: float) -> None:
        if self._times[self._slot] != ABSENT:
            self._times[self._slot] = began_at

    def await_refreshes(self, since: float) -> None:
        """Return once every process has begun and completed a refresh since this time. Raises Busy."""
        until = time.monotonic() + WAIT_SECONDS
        while min(self._times[:SLOTS]) < since:
            if time.monotonic() > until:
                raise Busy("an HTTP process is behind", "Wait for `as_of` of /readyz")
            self.request(since)
            time.sleep(POLL_SECONDS)

    def request(self, since: float) -> None:
        """Ask every process for a refresh that begins after this time.

        Of two requests at once, the earlier may overwrite the later: `await_refreshes` repeats it.
        """
        self._times[REQUESTED] = max(self._times[REQUESTED], since)
