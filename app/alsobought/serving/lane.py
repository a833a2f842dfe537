"""A lane: threads with a bounded queue, so that one kind of work cannot take the room of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Lane:
    """Threads with a queue of at most `max_waiting` calls. Thread-safe."""

    def __init__(self, name: str, threads: int, max_waiting: int) -> None:
        self.name, self.threads = name, threads
        self._room = threading.BoundedSemaphore(threads + max_waiting)
        self._lock, self._pending, self._progress = threading.Lock(), 0, 0.0
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
        self._count(1)
        done.add_done_callback(self._ended)
        return done

    @property
    def calls(self) -> tuple[int, int]:
        """How many calls run, and how many wait for a thread."""
        pending = self._pending
        running = min(pending, self.threads)
        return running, pending - running

    def stalled_seconds(self) -> float:
        """For how long calls have been waiting or running while none ended; 0 if there are none."""
        with self._lock:
            return time.monotonic() - self._progress if self._pending else 0.0

    def _ended(self, _: Future[Any]) -> None:
        self._room.release()
        self._count(-1)

    def _count(self, calls: int) -> None:
        with self._lock:
            if not self._pending or calls < 0:
                self._progress = time.monotonic()
            self._pending += calls

    def shutdown(self, *, wait: bool, cancel: bool = False) -> None:
        """With `cancel`, calls that wait for a thread do not run any more."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel)
