"""What one client may take: time, bytes, header fields; and what all of them may take together."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEAD = 65_536  # bytes of the request line and the headers together
MAX_HEADERS, MAX_HEADER = 100, 8_190  # how many fields, and bytes of one
FREE_CHUNKS, MIN_CHUNK = 1_000, 64  # after so many chunks of a body their average must have so many bytes
SMALL, ROOM_FOR_SMALL = 65_536, 33_554_432  # bytes of a body, and of all such bodies beyond the limit of all
MAX_BEHIND = 65_536  # bytes of further requests that a connection may send ahead of their answers


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes. A body or an answer of n bytes may take `transfer + n / rate` seconds in all."""

    head: float = 10.0  # for a request's head, from its first byte; and for the first byte of a connection
    transfer: float = 10.0
    rate: int = 50_000  # bytes a second; who is slower than this for long is cut off
    keep_alive: float = 30.0
    linger: float = 2.0  # for a client to read the last answer of a connection and close it
    drain: float = 6.0  # for the requests that run when the service is stopped
    body: int = 16_777_216
    held: int = 134_217_728  # bytes of all bodies that are received and all answers that are sent at a time
    connections: int = 10_000

    def transfer_seconds(self, size: int) -> float:
        return self.transfer + size / self.rate


REASONS = (
    "too_many_connections",
    "too_many_requests",
    "too_many_bytes",
    "too_large",
    "bad_request",
    "internal",
    "head_timeout",
    "body_timeout",
    "slow_reader",
)


class ConnectionCounts:
    """How many connections are open and idle, and why others were refused or cut off. Written in the event loop only."""

    def __init__(self) -> None:
        self.open = self.idle = 0
        self.ended = dict.fromkeys(REASONS, 0)


class Held:
    """How many bytes all connections hold together. Used in the event loop only."""

    def __init__(self, limit: int) -> None:
        self._limit, self.bytes = limit, 0

    def has_room(self, size: int, whole: int) -> bool:
        """Whether bytes of a body of this whole size may come. Small ones have room of their own beside large ones."""
        return not whole or self.bytes + size <= self._limit + (ROOM_FOR_SMALL if whole <= SMALL else 0)

    @property
    def is_full(self) -> bool:
        return self.bytes > self._limit + ROOM_FOR_SMALL
