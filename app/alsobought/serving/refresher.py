"""The threads that compute answers behind stale ones: few, and apart from those of requests, so that no request waits for them."""

from __future__ import annotations

from collections.abc import Callable

from alsobought.serving.lane import Lane

JOINT_THREADS, SINGLE_THREADS = 8, 2
MAX_WAITING = 32  # refreshes for each thread; more could not run before their deadlines


class Refresher:
    """Threads start with the first refresh."""

    def __init__(self) -> None:
        self._joint = Lane("refresh-joint", JOINT_THREADS, MAX_WAITING * JOINT_THREADS)
        self._single = Lane("refresh", SINGLE_THREADS, MAX_WAITING * SINGLE_THREADS)

    def submit(self, run: Callable[[], None], *, joint: bool) -> bool:
        """Run this soon; False if too many wait already, or after the shutdown.

        `joint` ones share queries (`serving.coalescing`): their threads mostly wait, so there are more of them.
        """
        return (self._joint if joint else self._single).submit(run) is not None

    def shutdown(self) -> None:
        """Wait for the refreshes that run; those that wait for a thread do not begin."""
        for lane in (self._joint, self._single):
            lane.shutdown(wait=True, cancel=True)
