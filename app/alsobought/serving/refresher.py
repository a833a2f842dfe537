"""The threads that compute answers behind stale ones: apart from those of requests, so that no request waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from alsobought.serving.lane import Lane

JOINT_THREADS, SINGLE_THREADS = 64, 2
MAX_WAITING = 32  # refreshes for each thread; more could not run before their deadlines

_thread = threading.local()


def in_background() -> bool:
    """True in a thread of a refresher."""
    return getattr(_thread, "is_background", False)


class Refresher:
    """Threads start with the first refresh."""

    def __init__(self) -> None:
        self._joint = Lane("refresh-joint", JOINT_THREADS, MAX_WAITING * JOINT_THREADS)
        self._single = Lane("refresh", SINGLE_THREADS, MAX_WAITING * SINGLE_THREADS)

    def submit(self, run: Callable[[], None], *, joint: bool) -> bool:
        """Run this soon; False if too many wait already, or after the shutdown.

        `joint` ones share queries (`serving.coalescing`): their threads mostly wait, so there are more of them.
        """
        return (self._joint if joint else self._single).submit(run_in_background, run) is not None

    def shutdown(self) -> None:
        """Wait for the refreshes that run; those that wait for a thread do not begin."""
        for lane in (self._joint, self._single):
            lane.shutdown(wait=True, cancel=True)


def run_in_background(run: Callable[[], None]) -> None:
    """Run this with the low priority of a refresh; the thread stays one of the background."""
    _thread.is_background = True
    run()
