"""Files → the writer: one event or item per line (NDJSON), old events welcome.

A line without event_id is known by its place in the file's contents, so that loading the same file again counts nothing twice.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from app.errors import Busy, NotStored, Unusable
from app.events import Event, Item, Rejected, Rules, read_events, read_items
from app.ingest import Stored, Submission, Writer

AT_ONCE = 3  # batches on their way: one is stored while the next is read


@dataclass
class Report:
    """What became of the rows of a load. `rejected` counts lines from 1."""

    stored: int = 0
    repeats: int = 0
    rejected: list[Rejected] = field(default_factory=list)


class Stream:
    """Submissions to the writer, a few at a time, counted in a report."""

    def __init__(self, writer: Writer, told: Callable[[int], object] = lambda _: None) -> None:
        self._writer, self._told = writer, told
        self._under_way: deque[tuple[Future[Stored], int]] = deque()
        self.report = Report()

    def send(self, submission: Submission) -> None:
        """Raises NotStored if an earlier batch failed."""
        while len(self._under_way) >= AT_ONCE:
            self._settle()
        while True:
            try:
                self._under_way.append((self._writer.submit(submission), len(submission.rows)))
                return
            except Busy:
                if not self._under_way:
                    time.sleep(0.1)  # others keep the writer busy
                else:
                    self._settle()

    def finish(self) -> Report:
        while self._under_way:
            self._settle()
        return self.report

    def _settle(self) -> None:
        future, rows = self._under_way.popleft()
        try:
            stored = future.result()
        except NotStored as error:
            again = "Make room or mend it, then load the same again: what is stored already counts once"
            raise NotStored(f"the warehouse refused a batch: {error.__cause__}", again) from error
        self.report.stored += stored.rows
        self.report.repeats += stored.repeats
        self._told(rows)


def load_file(kind: str, path: Path, writer: Writer, rules: Rules, told: Callable[[int], object]) -> Report:
    """One file of events or items; `told` hears how many lines were dealt with.

    Raises Unusable if the file cannot be read, NotStored if the warehouse refuses.
    """
    try:
        source = f"load:{_digest(path)}"
        with path.open("rb") as file:
            return _load_lines(kind, file, source, writer, rules, told)
    except OSError as error:
        raise _unreadable(path, error) from error


def _load_lines(
    kind: str, lines: Iterable[bytes], source: str, writer: Writer, rules: Rules, told: Callable[[int], object]
) -> Report:
    stream = Stream(writer, told)
    for numbers, chunk in _chunks(lines, writer.settings.batch_rows):
        good: list[Event] | list[Item]
        if kind == "events":
            good, bad = read_events(chunk, rules)
        else:
            good, bad = read_items(chunk, rules.max_bytes)
        refused = {rejected.index for rejected in bad}
        stream.report.rejected += [Rejected(numbers[r.index], r.problem) for r in bad]
        told(len(bad))
        places = [number for place, number in enumerate(numbers) if place not in refused]
        stream.send(Submission(good, source, places if kind == "events" else None))
    return stream.finish()


def _chunks(lines: Iterable[bytes], size: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """Lines that hold something, with their numbers from 1."""
    numbered = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    while chunk := list(islice(numbered, size)):
        yield [number for number, _ in chunk], [line for _, line in chunk]


def count_lines(path: Path) -> int:
    """How many lines a file has, for the progress bar. Raises Unusable if it cannot be read."""
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> Unusable:
    return Unusable(f"{path} cannot be read: {(error.strerror or '').lower()}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]
