"""Load a file of events or items in chunks: write rejected rows to a file, submit the others.

A row without event_id is identified by its number and the file's contents. The ledger records the
progress of each load: one that was killed resumes, and a file that was loaded to its end is not read
again, unless flags or settings that decide how rows are read have changed.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import dropwhile, islice
from pathlib import Path
from typing import cast

import msgspec

from alsobought.events import Event, Rules
from alsobought.failpoints import reach
from alsobought.items import Item
from alsobought.loading.files import STDIN, Layout, Rows, digest, open_rows
from alsobought.loading.full_feed import FullFeed
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.rejects import Rejects
from alsobought.loading.row_converter import row_reader
from alsobought.loading.submitter import Report, Submitter
from alsobought.storage import ledger
from alsobought.writer.submission import Intake, Submission

DRY_RUN_CHUNK_ROWS = 10_000

Progress = Callable[[Rows], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class LoadTask:
    """One file to load, with its flags.

    `source` names standard input, so that a load of it can resume. With `replace` an item loses the fields that its row does not
    have; `feed` notes which items there are.
    """

    kind: str
    path: Path
    layout: Layout = field(default_factory=Layout)
    columns: ColumnMapping = field(default_factory=ColumnMapping)
    source: str = ""
    rejected: Path | None = None
    replace: bool = False
    feed: FullFeed | None = None


def load_file(
    task: LoadTask, writer: Intake, rules: Rules, rejects: Rejects, progress: Progress, rows: Rows | None = None
) -> Report:
    """Load one file, or `rows` that are already open.

    Raises Unusable if the file cannot be read, NotStored if the warehouse fails.
    """
    load, first = _begin(task, writer, rules)
    if load and load.finished:
        duplicates = ledger.count_events(writer.warehouse, load.source)
        return Report(duplicates=duplicates, rejected=load.rejected, already_loaded=True)
    rejects.begin(first)
    stored_before = ledger.count_events(writer.warehouse, load.source, first) if load and first > 1 else 0
    source = load.source if load else f"load:{uuid.uuid4().hex[:16]}"
    opening = nullcontext(rows) if rows else open_rows(task.path, task.layout, first)
    with opening as file, progress(file) as advance:
        if rows:
            file.numbered = dropwhile(lambda row: row[0] < first, file.numbered)
        submitter = Submitter(writer, advance)
        for accepted, numbers, size in _chunks(file, task, rules, rejects, writer.settings.batch_rows):
            submitter.send(Submission(accepted, source, numbers if task.kind == "events" else None), size)
        report = submitter.finish()
    reach("load.finished")
    if load:
        finished = task.path != STDIN  # standard input may have more rows the next time
        ledger.record_load(writer.warehouse, msgspec.structs.replace(load, rejected=rejects.count, finished=finished))
        reach("load.recorded")
    report.duplicates += stored_before
    report.rejected = rejects.count
    return report


def dry_run(task: LoadTask, rules: Rules, rejects: Rejects, progress: Progress, rows: Rows | None = None) -> Report:
    """Read and check a file without a warehouse: `stored` counts rows that would be submitted."""
    rejects.begin(1)
    report = Report()
    with nullcontext(rows) if rows else open_rows(task.path, task.layout) as file, progress(file) as advance:
        for accepted, _, size in _chunks(file, task, rules, rejects, DRY_RUN_CHUNK_ROWS):
            report.stored += len(accepted)
            advance(size)
    report.rejected = rejects.count
    return report


def _begin(task: LoadTask, writer: Intake, rules: Rules) -> tuple[ledger.Load | None, int]:
    """The ledger's record of this load, and the first row to read.

    Unnamed standard input has no record, nor have items: an older catalogue can be loaded again.
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


def _reading(task: LoadTask, rules: Rules) -> str:
    """A hash of the flags and rules: by others, a row that was rejected may be accepted."""
    flags = {**asdict(task.columns), "dropped": sorted(task.columns.dropped)}
    inputs = [asdict(task.layout), flags, sorted(rules.event_types), rules.max_bytes, rules.placeholders.members]
    return hashlib.blake2b(msgspec.json.encode(inputs, order="deterministic"), digest_size=8).hexdigest()


def _chunks(
    rows: Rows, task: LoadTask, rules: Rules, rejects: Rejects, chunk_rows: int
) -> Iterator[tuple[list[Event] | list[Item], list[int], int]]:
    """Accepted rows, their numbers, and their share of the file.

    Rejected rows are on disk before a chunk is yielded.
    """
    read = row_reader(task.kind, task.columns, rules)
    position = 0
    while chunk := list(islice(rows.numbered, chunk_rows)):
        accepted, rejected = read([row for _, row in chunk])
        rejects.add([(chunk[reject.index][0], reject.problem, chunk[reject.index][1]) for reject in rejected])
        reach("load.rejected")
        rejected_indexes = {reject.index for reject in rejected}
        numbers = [number for index, (number, _) in enumerate(chunk) if index not in rejected_indexes]
        before, position = position, rows.position()
        if task.replace:
            accepted = [msgspec.structs.replace(item, replace=True) for item in cast(list[Item], accepted)]
        if task.feed:
            task.feed.note(cast(list[Item], accepted))
        yield accepted, numbers, position - before
