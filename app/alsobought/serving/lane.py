"""A lane: threads with a bounded queue, so that one kind of work cannot take the room of another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Lane:
    """Threads with a queue of at most `max_waiting` calls. Thread-safe."""

    def __init__(self, name: str, threads: int, max_waiting: int) -> None:
        self._room = threading.BoundedSemaphore(threads + max_waiting)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def submit(self, handle: Callable[..., Any], *arguments: Any) -> Future[Any] | None:
        """None if the queue is full."""
        if not self._room.acquire(blocking=False):
            return None
        try:
            done = self._pool.submit(handle, *arguments)
        except RuntimeError:  # shut down
            self._room.release()
            return None
        done.add_done_callback(lambda _: self._room.release())
        return done

    def shutdown(self, *, wait: bool, cancel: bool = False) -> None:
        """With `cancel`, calls that wait for a thread do not run any more."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel)
