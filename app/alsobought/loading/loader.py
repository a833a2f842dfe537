"""Files → the writer, in chunks: read, write down what is refused, submit. Old events are welcome.

A row without event_id is known by its number in the file's contents. The ledger says how far a load came: a killed one
goes on there, and a file that was read to its end is not read again, unless it is read in another way.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import dropwhile, islice
from pathlib import Path

import msgspec

from alsobought.errors import Busy, NotStored, Unusable
from alsobought.events import Event, Item, Rules
from alsobought.failpoints import reach
from alsobought.loading.mapping import Columns, check_columns, row_reader
from alsobought.loading.readers import STDIN, Layout, Row, Rows, digest, opened
from alsobought.loading.rejects import Rejects
from alsobought.storage import ledger
from alsobought.writer.submission import Intake, Stored, Submission

AT_ONCE = 3  # batches on their way: one is stored while the next is read
JUDGED = 1000  # rows by which a file is judged before anything is stored
FEW = 20  # rows that are too few to judge by

Progress = Callable[[Rows], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Task:
    """One file to load, and how. `source` names standard input, so that it can be gone on with."""

    kind: str
    path: Path
    layout: Layout = field(default_factory=Layout)
    columns: Columns = field(default_factory=Columns)
    source: str = ""
    rejected: Path | None = None


@dataclass
class Report:
    """What became of the rows of a load. `again` means that it had come to its end before."""

    stored: int = 0
    repeats: int = 0
    refused: int = 0
    again: bool = False


class Stream:
    """Submissions to the writer, a few at a time, counted in a report. None is stored behind one that failed."""

    def __init__(self, writer: Intake, told: Callable[[int], object] = lambda _: None) -> None:
        self._writer, self._told = writer, told
        self._under_way: deque[tuple[Future[Stored], int]] = deque()
        self._last: Future[Stored] | None = None
        self.report = Report()

    def send(self, submission: Submission, size: int | None = None) -> None:
        """`size` is what is told once it is stored, else its rows. Raises NotStored if an earlier batch failed."""
        size = len(submission.rows) if size is None else size
        if not submission.rows:
            self._told(size)
            return
        while len(self._under_way) >= AT_ONCE:
            self._settle()
        submission.after = self._last
        while True:
            try:
                self._last = self._writer.submit(submission)
                self._under_way.append((self._last, size))
                reach("load.submitted")
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
        future, size = self._under_way.popleft()
        try:
            stored = future.result()
        except NotStored as error:
            again = "Make room or mend it, then load the same again: what is stored already counts once"
            raise NotStored(f"the warehouse refused a batch: {error.__cause__}", again) from error
        reach("load.stored")
        self.report.stored += stored.rows
        self.report.repeats += stored.duplicates
        self._told(size)


def judge(rows: Rows, task: Task, rules: Rules, *, force: bool) -> None:
    """Looks at the columns and the first rows of a file, which will come again.

    Raises Unusable if these columns cannot be loaded or, without force, if most of the rows would be refused.
    """
    read = row_reader(task.kind, task.columns, rules)
    first = rows.peek(JUDGED)
    whole = rows.columns is not None
    columns = rows.columns if rows.columns is not None else _common_names([row for _, row in first])
    check_columns(rows.name, task.kind, columns, task.columns, whole=whole)
    _, bad = read([row for _, row in first])
    if not force and len(first) >= FEW and 2 * len(bad) > len(first):
        number, problem = first[bad[0].index][0], bad[0].problem
        raise Unusable(
            f"{len(bad)} of the first {len(first)} rows of {rows.name} would be refused (row {number}: {problem}):"
            " that looks like the wrong mapping",
            "Set it right with --map and --set, see all of them with --dry-run, or load the others with --force",
        )


def _common_names(rows: list[Row]) -> list[str]:
    """The names that most of the objects have. A rare one is a fault of its row."""
    counts: dict[str, int] = {}
    for row in rows:
        try:
            given = msgspec.json.decode(row) if isinstance(row, bytes) else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        for name in given if isinstance(given, dict) else ():
            counts[name] = counts.get(name, 0) + 1
    return [name for name, count in counts.items() if 2 * count > len(rows)]


def load_file(
    task: Task, writer: Intake, rules: Rules, rejects: Rejects, progress: Progress, rows: Rows | None = None
) -> Report:
    """One file, or `rows` that are open already, into the warehouse.

    Raises Unusable if the file cannot be read, NotStored if the warehouse refuses.
    """
    load, first = _begin(task, writer, rules)
    if load and load.finished:
        known = ledger.count_events(writer.warehouse, load.source)
        return Report(repeats=known, refused=load.refused, again=True)
    rejects.begin(first)
    known = ledger.count_events(writer.warehouse, load.source, first) if load and first > 1 else 0
    source = load.source if load else f"load:{uuid.uuid4().hex[:16]}"
    opening = nullcontext(rows) if rows else opened(task.path, task.layout, first)
    with opening as file, progress(file) as told:
        if rows:
            file.numbered = dropwhile(lambda row: row[0] < first, file.numbered)
        stream = Stream(writer, told)
        for good, numbers, size in _chunks(file, task, rules, rejects, writer.settings.batch_rows):
            stream.send(Submission(good, source, numbers if task.kind == "events" else None), size)
        report = stream.finish()
    reach("load.finished")
    if load:
        finished = task.path != STDIN  # a stream may have more to say under the same name
        ledger.record_load(writer.warehouse, msgspec.structs.replace(load, refused=rejects.count, finished=finished))
        reach("load.noted")
    report.repeats += known
    report.refused = rejects.count
    return report


def try_file(task: Task, rules: Rules, rejects: Rejects, progress: Progress, rows: Rows | None = None) -> Report:
    """The same without a warehouse: what would be stored, and what refused."""
    rejects.begin(1)
    report = Report()
    with nullcontext(rows) if rows else opened(task.path, task.layout) as file, progress(file) as told:
        for good, _, size in _chunks(file, task, rules, rejects, 10_000):
            report.stored += len(good)
            told(size)
    report.refused = rejects.count
    return report


def _begin(task: Task, writer: Intake, rules: Rules) -> tuple[ledger.Load | None, int]:
    """What the ledger is to say of this load, and the row to go on with; no Load where there is nothing to know it by.

    Items have none either: whoever loads an older catalogue again wants it back.
    """
    if task.kind == "items" or (task.path == STDIN and not task.source):
        return None, 1
    source = f"load:{task.source or digest(task.path)}"
    reading = _reading(task, rules)
    load = ledger.last_load(writer.warehouse, source)
    if load and load.reading == reading:
        return load, max(1, ledger.resume_offset(writer.warehouse, source, load.since))
    load = ledger.Load(source=source, reading=reading, since=ledger.next_batch(writer.warehouse, source))
    ledger.record_load(writer.warehouse, load)
    reach("load.begun")
    return load, 1


def _reading(task: Task, rules: Rules) -> str:
    """What decides how a row is read. Another reading of the same file may accept what this one refused."""
    flags = {**asdict(task.columns), "dropped": sorted(task.columns.dropped)}
    told = [asdict(task.layout), flags, sorted(rules.event_types), rules.max_bytes]
    return hashlib.blake2b(msgspec.json.encode(told, order="deterministic"), digest_size=8).hexdigest()


def _chunks(
    rows: Rows, task: Task, rules: Rules, rejects: Rejects, size: int
) -> Iterator[tuple[list[Event] | list[Item], list[int], int]]:
    """The good rows, their numbers, and how much of the file they are. What is refused is on disk before they come."""
    read = row_reader(task.kind, task.columns, rules)
    place = 0
    while chunk := list(islice(rows.numbered, size)):
        good, bad = read([row for _, row in chunk])
        rejects.add([(chunk[r.index][0], r.problem, chunk[r.index][1]) for r in bad])
        reach("load.refused")
        refused = {r.index for r in bad}
        numbers = [number for index, (number, _) in enumerate(chunk) if index not in refused]
        before, place = place, rows.place()
        yield good, numbers, place - before
