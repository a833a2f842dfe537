"""A lane: threads with a bounded queue, so that one kind of work cannot take the room of another.

Calls of a group, which are the requests of one pipe, share a lane with those of other groups: groups have turns, and one alone
gets three quarters of the threads and of the queue. A fixed part for each would be idle most of the time, so a group may take
more while it has less than SHARE times what is free.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from alsobought.serving.fair_queue import FairQueue

SHARE = 3


@dataclass(eq=False)
class Call:
    group: str
    run: Callable[[], Any]
    done: Future[Any] = field(default_factory=Future)


class Lane:
    """Threads with a queue of at most `max_waiting` calls. Thread-safe."""

    def __init__(self, name: str, threads: int, max_waiting: int) -> None:
        self.name, self.threads, self.max_waiting = name, threads, max_waiting
        self._lock, self._progress = threading.Lock(), 0.0
        self._waiting = FairQueue[Call]()
        self._running = Counter[str]()
        self._idle, self._is_open = threads, True
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def submit(self, handle: Callable[..., Any], *arguments: Any, group: str = "") -> Future[Any] | None:
        """None if the queue is full, or has no more room for this group. Without a group a call may take all there is."""
        call = Call(group, lambda: handle(*arguments))
        with self._lock:
            if not self._is_open or not (self._may_run(group) or self._may_wait(group)):
                return None
            if not self._pending:
                self._progress = time.monotonic()
            self._waiting.append(group, call)
            self._start()
        call.done.add_done_callback(lambda _: self._withdraw(call))
        return call.done

    @property
    def calls(self) -> tuple[int, int]:
        """How many calls run, and how many wait for a thread."""
        return self.threads - self._idle, len(self._waiting)

    def stalled_seconds(self) -> float:
        """For how long calls have been waiting or running while none ended; 0 if there are none."""
        with self._lock:
            return time.monotonic() - self._progress if self._pending else 0.0

    def shutdown(self, *, wait: bool, cancel: bool = False) -> None:
        """With `cancel`, calls that wait for a thread do not run any more."""
        with self._lock:
            self._is_open = False
            waiting = [call for _ in range(len(self._waiting)) if (call := self._waiting.pop())]
            for call in waiting if not cancel else ():
                self._run_in_pool(call)
        for call in waiting if cancel else ():
            call.done.cancel()
        self._pool.shutdown(wait=wait)

    @property
    def _pending(self) -> int:
        return self.threads - self._idle + len(self._waiting)

    def _may_run(self, group: str) -> bool:
        return self._idle > 0 and (not group or self._running[group] < SHARE * self._idle)

    def _may_wait(self, group: str) -> bool:
        room = self.max_waiting - len(self._waiting)
        return room > 0 and (not group or self._waiting.length_of(group) < SHARE * room)

    def _start(self) -> None:
        """Run what waits and may run. The caller holds the lock."""
        while self._waiting and (call := self._waiting.pop(self._may_run)):
            self._run_in_pool(call)

    def _run_in_pool(self, call: Call) -> None:
        self._idle -= 1
        self._running[call.group] += 1
        self._pool.submit(self._run, call)

    def _run(self, call: Call) -> None:
        if not call.done.set_running_or_notify_cancel():
            self._end(call)
            return
        try:
            result = call.run()
        except BaseException as error:
            self._end(call)
            call.done.set_exception(error)
        else:
            self._end(call)
            call.done.set_result(result)

    def _end(self, call: Call) -> None:
        with self._lock:
            self._idle += 1
            self._running[call.group] -= 1
            if not self._running[call.group]:
                del self._running[call.group]
            self._progress = time.monotonic()
            self._start()

    def _withdraw(self, call: Call) -> None:
        """A call that was cancelled while it waited makes room."""
        with self._lock:
            if call.done.cancelled() and self._waiting.remove(call.group, call):
                self._progress = time.monotonic()
