"""Load a file of events, items or users in chunks: write rejected rows to a file, submit the others.

A row without event_id is identified by its number and the file's contents. The ledger records the
progress of each load: one that was killed resumes, and a file that was loaded to its end is not read
again, unless flags or settings that decide how rows are read have changed. Rows that are shaped
(`row_shaping`) depend on those above: a load of them resumes by shaping all, and skips what is stored.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import dropwhile, islice
from pathlib import Path
from typing import Any, cast

import msgspec

from alsobought.events import Rejected, Rules
from alsobought.failpoints import reach
from alsobought.items import Item
from alsobought.loading.files import STDIN, Layout, Row, Rows, digest, open_rows
from alsobought.loading.full_feed import FullFeed
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.rejects import Rejects
from alsobought.loading.row_converter import ReadRows, row_reader
from alsobought.loading.row_shaping import RowShaper
from alsobought.loading.submitter import Report, Submitter
from alsobought.storage import ledger
from alsobought.users import User
from alsobought.writer.submission import Intake, Submission

DRY_RUN_CHUNK_ROWS = 10_000
MAX_SHOWN_ROWS = 5  # of a dry run

Progress = Callable[[Rows], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class LoadTask:
    """One file to load, with its flags.

    `source` names standard input, so that a load of it can resume. With `replace` an item or a user loses what its row does not
    have; `feed` notes which there are.
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
    load, resumed = _begin(task, writer, rules)
    if load and load.finished:
        duplicates = ledger.count_events(writer.warehouse, load.source)
        return Report(duplicates=duplicates, rejected=load.rejected, already_loaded=True)
    shaper = RowShaper(task.columns)
    first = shaper.first_number(resumed)
    rejects.begin(shaper.row_number(first))
    stored_before = ledger.count_events(writer.warehouse, load.source, first) if load and resumed > 1 else 0
    source = load.source if load else f"load:{uuid.uuid4().hex[:16]}"
    opening = nullcontext(rows) if rows else open_rows(task.path, task.layout, 1 if shaper.is_needed else first)
    with opening as file, progress(file) as advance:
        file.numbered = dropwhile(lambda row: row[0] < first, shaper(file.numbered))
        submitter = Submitter(writer, advance)
        for accepted, numbers, read, size in _chunks(file, task, rules, rejects, shaper, writer.settings.batch_rows):
            submitter.report.count_orders(accepted)
            submitter.report.skipped += read.skipped
            submitter.report.dropped += read.dropped
            submitter.send(Submission(accepted, source, numbers if task.kind == "events" else None), size)
        report = submitter.finish()
    reach("load.finished")
    if load:
        finished = task.path != STDIN  # standard input may have more rows the next time
        ledger.record_load(writer.warehouse, msgspec.structs.replace(load, rejected=rejects.count, finished=finished))
        reach("load.recorded")
    report.duplicates += stored_before
    report.rejected, report.left_out = rejects.count, shaper.left_out
    return report


def dry_run(task: LoadTask, rules: Rules, rejects: Rejects, progress: Progress, rows: Rows | None = None) -> Report:
    """Read and check a file without a warehouse: `stored` counts rows that would be submitted."""
    rejects.begin(1)
    report = Report()
    shaper = RowShaper(task.columns)
    with nullcontext(rows) if rows else open_rows(task.path, task.layout) as file, progress(file) as advance:
        file.numbered = shaper(file.numbered)
        for accepted, _, read, size in _chunks(file, task, rules, rejects, shaper, DRY_RUN_CHUNK_ROWS):
            report.first_rows += accepted[: MAX_SHOWN_ROWS - len(report.first_rows)]
            report.count_orders(accepted)
            report.stored += len(accepted)
            report.skipped += read.skipped
            report.dropped += read.dropped
            advance(size)
    report.rejected, report.left_out = rejects.count, shaper.left_out
    return report


def _begin(task: LoadTask, writer: Intake, rules: Rules) -> tuple[ledger.Load | None, int]:
    """The ledger's record of this load, and the first row to read.

    Unnamed standard input has no record, nor have items and users: an older catalogue can be loaded again.
    """
    if task.kind != "events" or (task.path == STDIN and not task.source):
        return None, 1
    source = f"load:{task.source or digest(task.path)}"
    if task.columns.each:
        source += f":{task.columns.each}"  # elements have other numbers than rows
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
    bots = rules.bots.patterns if rules.bots else ()
    inputs = [asdict(task.layout), flags, sorted(rules.event_types), rules.max_bytes, rules.placeholders.members, bots]
    return hashlib.blake2b(msgspec.json.encode(inputs, order="deterministic"), digest_size=8).hexdigest()


def _chunks(
    rows: Rows, task: LoadTask, rules: Rules, rejects: Rejects, shaper: RowShaper, chunk_rows: int
) -> Iterator[tuple[list[Any], list[int], ReadRows, int]]:
    """Accepted events, items or users, the numbers of their rows, how they were read, and their share of the file.

    Rejected rows are on disk before a chunk is yielded.
    """
    read = row_reader(task.kind, task.columns, rules, rows.format)
    position = 0
    while chunk := list(islice(rows.numbered, chunk_rows)):
        result = read([row for _, row in chunk])
        rejects.add([_reject(shaper, chunk[reject.index], reject) for reject in result.rejected])
        reach("load.rejected")
        numbers = [chunk[index][0] for index in result.indexes]
        before, position = position, rows.position()
        accepted = result.accepted
        if task.replace:
            accepted = [msgspec.structs.replace(row, replace=True) for row in cast(list[Item | User], accepted)]
        if task.feed:
            task.feed.note(cast(list[Item | User], accepted))
        yield accepted, numbers, result, position - before


def _reject(shaper: RowShaper, numbered: tuple[int, Row], reject: Rejected) -> tuple[int, str, Row]:
    return shaper.row_number(numbered[0]), reject.problem, numbered[1]
