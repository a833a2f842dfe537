"""The append log of an embedded warehouse: posted events on disk, durable before any view counts them.

A post appends its events as one line and is answered. The writer stores them in `events` a moment later, together with others,
and what is stored is deleted here. After a crash the next start stores the lines above the last offset that `events` has of
the source `post`.

A line survives a kill of the process. Against a loss of power it is as safe as `events` itself: neither is synced to disk.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import cast

import msgspec

from alsobought.errors import NotStored
from alsobought.events import Event
from alsobought.failpoints import reach
from alsobought.storage.folder_lock import refuse_if_full
from alsobought.writer.sequence import SeqClock
from alsobought.writer.submission import POST, Submission

log = logging.getLogger(__name__)

FOLDER = "append_log"  # in the folder of the warehouse
SEGMENT_BYTES = 8_000_000


class LoggedPost(msgspec.Struct, frozen=True):
    """A line of the log: the events of one post. They have consecutive offsets, the first of which is `offset`."""

    offset: int
    received_at: datetime
    events: list[Event]

    @property
    def last_offset(self) -> int:
        return self.offset + len(self.events) - 1

    def submission(self, *, may_be_stored: bool) -> Submission:
        offsets, received_at = range(self.offset, self.last_offset + 1), [self.received_at] * len(self.events)
        return Submission(
            self.events, POST, offsets, sent_at=lambda: received_at, logged=True, may_be_stored=may_be_stored
        )


class AppendLog:
    """Thread-safe. The segments are files of lines, named for their first offset; the newest one grows."""

    def __init__(self, warehouse_folder: Path, min_free: int, clock: Callable[[], datetime]) -> None:
        self._folder, self._min_free, self._clock = warehouse_folder / FOLDER, min_free, clock
        self._offsets = SeqClock(clock)
        self._lock = threading.Lock()
        self._closed: deque[tuple[Path, int]] = deque()  # full segments, each with its last offset
        self._path: Path | None = None  # of the newest segment
        self._file = -1
        self._size = 0

    def read_unstored(self, stored: int) -> list[Submission]:
        """The posts above this offset of `events`, in order. Call it once, before anything is appended."""
        self._offsets.see(stored)
        posts = []
        for path in sorted(self._folder.glob("*.ndjson")):
            posts += [post for post in _read(path) if post.last_offset > stored]
            if posts:
                self._offsets.see(posts[-1].last_offset)
            self._closed.append((path, self._offsets.last))
        self.mark_stored(stored)
        return [post.submission(may_be_stored=True) for post in posts]

    def append(self, submission: Submission) -> None:
        """Write the events of a post, and give the submission its offsets. Raises NotStored: then nothing is written."""
        events, now = cast("list[Event]", list(submission.rows)), self._clock()
        for index, event in enumerate(events):
            if event.timestamp is msgspec.UNSET:
                events[index] = msgspec.structs.replace(event, timestamp=now)
        with self._lock:
            post = LoggedPost(self._offsets.take(len(events)), now, events)
            reach("append.before_write")
            self._write(_encode(post) + b"\n", post.offset)
            reach("append.after_write")
        logged = post.submission(may_be_stored=False)
        submission.rows, submission.offsets, submission.sent_at = logged.rows, logged.offsets, logged.sent_at
        submission.logged, submission.may_be_stored = True, False

    def mark_stored(self, offset: int) -> None:
        """Delete what is stored: `events` has everything up to this offset."""
        with self._lock:
            reach("append.before_delete")
            while self._closed and self._closed[0][1] <= offset:
                self._closed.popleft()[0].unlink(missing_ok=True)
            if self._size and self._offsets.last <= offset:
                os.ftruncate(self._file, 0)
                self._size = 0

    def rotate(self) -> None:
        """Close the newest segment, so that it is deleted once what it has so far is stored, whatever comes later."""
        with self._lock:
            self._rotate()

    def close(self) -> None:
        self.rotate()

    def _rotate(self) -> None:
        if self._path is None:
            return
        os.close(self._file)
        if self._size:
            self._closed.append((self._path, self._offsets.last))
        else:
            self._path.unlink(missing_ok=True)
        self._path, self._file, self._size = None, -1, 0

    def _write(self, line: bytes, offset: int) -> None:
        try:
            self._folder.mkdir(exist_ok=True)
            refuse_if_full(self._folder, len(line), self._min_free)
            if self._size > SEGMENT_BYTES:
                self._rotate()
            if self._path is None:
                self._path = self._folder / f"{offset:020d}.ndjson"
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            if self._path is not None:
                os.ftruncate(self._file, self._size)  # no half line before the next
            raise NotStored(f"the append log cannot be written: {error.strerror}", f"Look at {self._folder}") from error
        self._size += len(line)


def _read(path: Path) -> Iterator[LoggedPost]:
    """The posts of a segment. A last line without its end was never answered; other damage is reported and kept."""
    lines = path.read_bytes().split(b"\n")
    damaged = 0
    for line in lines[:-1]:
        try:
            yield _decode(line)
        except msgspec.MsgspecError:
            damaged += 1
    if damaged:
        copy = path.with_suffix(".damaged")
        copy.write_bytes(path.read_bytes())
        log.error("%d posts in %s cannot be read; they are kept in %s", damaged, path, copy.name)


_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder(LoggedPost).decode
