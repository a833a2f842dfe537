"""The gunicorn worker: an event loop holds all connections, lanes of threads compute the answers.

gunicorn's part is that of the parent process: it binds the port, starts this worker and starts it anew
if it ends or hangs, and passes signals on.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gunicorn.workers import base

from alsobought.web.http.connection import Connection
from alsobought.web.http.limits import ConnectionCounts, Held, Limits
from alsobought.web.http.wsgi import Answer, Request, call
from alsobought.web.lanes import LANE, WAITED, Lanes, group_of

log = logging.getLogger(__name__)

LIMITS = Limits()
BACKLOG = 2048
TICK_SECONDS = 0.5
HUNG_SECONDS, QUERIES = 60.0, 4  # a lane in which nothing ends for so long, and for so many slow queries, hangs
SWITCH_SECONDS = 0.002  # the event loop waits so long for each busy thread; a tenth less throughput at a quarter of it
EXIT_HUNG = 70
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
FILES_OF_OURS = 500  # that the process opens besides connections: parts of tables, for the most part
MALLOC_OPTIONS = {-8: 2, -3: 262_144, -1: 262_144}  # M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
AT_ONCE = b"/healthz"  # is answered by the event loop: it must not wait for a thread


def return_freed_memory() -> None:
    """Have the C library give freed blocks back to the system, instead of keeping them for each of many threads.

    Thirty bodies of 16 MB at a time left a process of 1.5 GB, and of 0.9 GB with this. Does nothing where the library is not glibc.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for option, value in MALLOC_OPTIONS.items():
            library.mallopt(option, value)


class Worker(base.Worker):  # type: ignore[misc]
    """Implements `http.connection.Host`. All methods run in the event loop, unless they say so."""

    limits: Limits
    held: Held
    counts: ConnectionCounts

    def init_process(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        return_freed_memory()
        self._booting = threading.Event()
        threading.Thread(target=self._notify_while_booting, name="booting", daemon=True).start()
        super().init_process()

    def _notify_while_booting(self) -> None:
        """In a thread: recovery may take longer than gunicorn's timeout."""
        while not self._booting.wait(TICK_SECONDS):
            self.notify()

    def run(self) -> None:
        """Serve, and close the service while its threads may still start work: at the exit of Python they no longer can."""
        with self.wsgi.extensions["closing"]:
            asyncio.run(self._serve())
            self._lanes.shutdown(wait=True)

    async def _serve(self) -> None:
        settings = self.wsgi.extensions["service"].settings
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        connections = min(LIMITS.connections, max(files - FILES_OF_OURS, FILES_OF_OURS))
        self.limits = replace(LIMITS, body=settings.max_body_bytes, connections=connections)
        self.held = Held(max(self.limits.held, 2 * self.limits.body))
        self._hung_after = QUERIES * settings.query_seconds + HUNG_SECONDS
        self._lanes = Lanes(settings.threads)
        self.counts = ConnectionCounts()
        self.wsgi.extensions["metrics"].observe(self.counts, self._lanes.all)
        self._connections: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in STOPPING:
            self._loop.add_signal_handler(number, self._stop.set)
        listeners = [
            listening.sock.dup() for listening in self.sockets
        ]  # asyncio closes its own, the next worker needs them
        servers = [
            await self._loop.create_server(lambda: Connection(self), sock=sock, backlog=BACKLOG) for sock in listeners
        ]
        self._booting.set()
        # `alive` is false if it was stopped while it started.
        while self.alive and not self._stop.is_set() and os.getppid() == self.ppid:
            self._tick()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stop.wait(), TICK_SECONDS)
        for server in servers:
            server.close()
        await self._drain()
        for number in STOPPING:  # the parent, systemd or a terminal may send another while the service is being closed
            self._loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    async def _drain(self) -> None:
        """Wait for the requests that run, and no longer than the limit; others end."""
        self.alive = False
        until = time.monotonic() + self.limits.drain
        for connection in list(self._connections):
            if not connection.is_busy:
                connection.end()
        while time.monotonic() < until and any(connection.is_busy for connection in self._connections):
            self._tick()
            await asyncio.sleep(0.02)
        self._lanes.shutdown(wait=False)

    def _tick(self) -> None:
        """End what is late; report that we live, unless a lane hangs."""
        self.notify()
        now = time.monotonic()
        for connection in list(self._connections):
            if connection.deadline < now:
                connection.expire()
        self.counts.open, self.counts.idle = len(self._connections), len(self._idle)
        if hung := self._lanes.hung(self._hung_after):
            log.critical("no request of the lane %s ended for %d s: the process is replaced", hung, self._hung_after)
            faulthandler.dump_traceback()
            os._exit(EXIT_HUNG)

    # What connections call

    def opened(self, connection: Connection) -> bool:
        self._connections.add(connection)
        if len(self._connections) <= self.limits.connections:
            return True
        if not self._idle:
            return False
        oldest, _ = self._idle.popitem(last=False)
        oldest.end()
        return True

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._idle.pop(connection, None)

    def went_idle(self, connection: Connection) -> None:
        self._idle[connection] = None
        self._idle.move_to_end(connection)
        if not self.alive:
            connection.end()

    def left_idle(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def answer_at_once(self, received: bytes, client: str) -> bytes | None:
        try:
            response: bytes | None = self.wsgi.extensions["fast_lane"].respond(received, client)
        except Exception:  # no request may end the event loop
            log.exception("the fast lane failed")
            return None
        return response

    def submit(self, connection: Connection, request: Request) -> Future[Any] | None:
        if request.path == AT_ONCE:
            done: Future[Any] = Future()
            connection.answer(call(self.wsgi, request))
            return done
        service, path = self.wsgi.extensions["service"], request.path
        for lane in self._lanes.of(path, service.answers.queries.costs.is_heavy, service.surfaces.pipes_of):
            if queued := lane.submit(
                self._handle, connection, request, lane.name, time.perf_counter(), group=group_of(path)
            ):
                return queued
        return None

    def _handle(self, connection: Connection, request: Request, lane: str, queued: float) -> None:
        """In a thread of a lane; `queued` is the `time.perf_counter()` at which the request was put into it."""
        answer: Answer | None = None
        waited = time.perf_counter() - queued
        self.wsgi.extensions["metrics"].waited(lane, waited)
        try:
            answer = call(self.wsgi, request, {LANE: lane, WAITED: waited})
        finally:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(connection.answer, answer)
