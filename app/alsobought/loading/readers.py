"""Any file → numbered rows: NDJSON, a JSON array, CSV, TSV, Parquet, each also gzipped, from a path or standard input.

Rows count from 1: lines of NDJSON, elements of an array, records below the header of CSV. A row of JSON stays bytes, for
whoever reads it decodes straight into its type. Everything is read in pieces, except for a JSON array, which is read whole.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import msgspec

from alsobought.errors import Unusable

FORMATS = ("ndjson", "json", "csv", "tsv", "parquet")
SUFFIXES = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
STDIN = Path("-")
BLOCK = 1 << 20
LONGEST = 16 << 20  # bytes of a line; a file without line ends must not fill the memory


@dataclass(frozen=True)
class Broken:
    """A row that cannot be taken apart: why, and what it is."""

    problem: str
    given: Any


Row = bytes | dict[str, Any] | Broken


@dataclass(frozen=True)
class Layout:
    """How a file is to be taken: its format and delimiter, where they are not to be guessed."""

    format: str = ""
    delimiter: str = ""


@dataclass
class Rows:
    """An open file. `columns` is known where the format has a header; `place` is how much of `total` has been read."""

    name: str
    format: str
    columns: list[str] | None
    numbered: Iterator[tuple[int, Row]]
    place: Callable[[], int]
    total: int | None
    unit: str = "bytes"

    def peek(self, size: int) -> list[tuple[int, Row]]:
        """The next rows, which will come again."""
        first = list(islice(self.numbered, size))
        rest = self.numbered
        self.numbered = (row for part in (first, rest) for row in part)
        return first


def name_of(path: Path) -> str:
    return "standard input" if path == STDIN else str(path)


@contextmanager
def opened(path: Path, layout: Layout, first: int = 1) -> Iterator[Rows]:
    """The rows of a file from number `first` on.

    Raises Unusable if it cannot be read, here or while rows are taken.
    """
    name = name_of(path)
    with ExitStack() as stack:
        with _told_as(name):
            counted = _Counted(stack.enter_context(_raw(path)))
            stream = _plain(counted)
            found = layout.format or _guess(path, stream)
            total = None if path == STDIN else path.stat().st_size
            rows = Rows(name, found, None, iter(()), lambda: counted.count, total)
            if found in ("csv", "tsv"):
                rows.columns, numbered = _separated(stream, layout.delimiter or {"csv": ",", "tsv": "\t"}[found], first)
            elif found == "parquet":
                numbered = _parquet(rows, stack.enter_context(_seekable(path, stream)), first)
            elif found == "json" and stream.peek(BLOCK).lstrip()[:1] != b"{":
                numbered = _array(stream, first)
            else:
                numbered = _lines(stream, first)
            rows.numbered = _named(name, numbered)
        yield rows


def _raw(path: Path) -> io.FileIO:
    return io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)


def digest(path: Path) -> str:
    """What a file's contents are known by, the same gzipped or not. Raises Unusable if it cannot be read to its end."""
    with _told_as(str(path)), _raw(path) as raw:
        stream = _plain(raw)  # kept until raw is closed
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:16]


class _Counted(io.RawIOBase):
    """Bytes on their way, counted."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw, self.count = raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        got = self._raw.readinto(buffer)
        self.count += got or 0
        return got


def _plain(raw: io.RawIOBase) -> io.BufferedReader:
    """The bytes, unzipped if they are gzip, whatever the file is called."""
    stream: io.BufferedReader = io.BufferedReader(raw, BLOCK)
    if stream.peek(2)[:2] != b"\x1f\x8b":
        return stream
    unzipped: Any = gzip.GzipFile(fileobj=stream)
    return io.BufferedReader(unzipped, BLOCK)


def _guess(path: Path, stream: io.BufferedReader) -> str:
    """The format by the name, else by the first bytes, where these leave no doubt."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if suffixes and (found := SUFFIXES.get(suffixes[-1])):
        return found
    start = stream.peek(BLOCK)
    for mark, found in ((b"PAR1", "parquet"), (b"{", "ndjson"), (b"[", "json")):
        if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(mark):
            return found
    if not start.strip():
        return "ndjson"
    raise Unusable(
        f"the format of {name_of(path)} cannot be told", f"Say --format {', '.join(FORMATS[:-1])} or parquet"
    )


def _lines(stream: io.BufferedReader, first: int) -> Iterator[tuple[int, Row]]:
    """Lines that hold something. Lines before `first` are counted by the block."""
    number, rest = 1, b""
    while block := stream.read1(BLOCK):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > LONGEST:
            raise Unusable(f"line {number + len(lines)} is longer than 16 MB", "NDJSON has one object per line")
        if number == 1 and lines:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        if number + len(lines) > first:
            for at, line in enumerate(lines, number):
                if at >= first and line.strip():
                    yield at, line
        number += len(lines)
    if rest.strip() and number >= first:
        yield number, rest.removeprefix(b"\xef\xbb\xbf") if number == 1 else rest


def _array(stream: io.BufferedReader, first: int) -> Iterator[tuple[int, Row]]:
    try:
        objects = msgspec.json.decode(stream.read().removeprefix(b"\xef\xbb\xbf"), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"not a JSON array: {error}", "Say --format ndjson if it has one object per line") from error
    for number, raw in enumerate(objects, 1):
        if number >= first:
            yield number, bytes(raw)


def _separated(stream: io.BufferedReader, delimiter: str, first: int) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The header of a CSV file, and its rows as text by column."""
    if stream.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Unusable("it is UTF-16", "Save it as UTF-8")
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    records = csv.reader(text, delimiter=delimiter)
    header = next(records, [])
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise Unusable(f"two columns are called {twice[0]!r}", "Give each column a name of its own")
    if len(header) == 1 and (others := [mark for mark in ",;\t|" if mark in header[0]]):
        raise Unusable(f"the header is one column, {header[0]!r}", f"Say --delimiter {others[0]!r} if that divides it")

    def rows() -> Iterator[tuple[int, Row]]:
        for number, cells in enumerate(records, 1):
            if cells and number >= first:
                yield number, _record(header, cells)

    return header, rows()


def _record(header: list[str], cells: list[str]) -> Row:
    if not (joined := "".join(cells)).isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            shown = [cell.encode(errors="surrogateescape").decode(errors="backslashreplace") for cell in cells]
            return Broken("not UTF-8", shown)
    if len(cells) != len(header):
        return Broken(f"{len(cells)} cells, and the header has {len(header)}", cells)
    return dict(zip(header, cells, strict=True))


def _parquet(rows: Rows, source: IO[bytes], first: int) -> Iterator[tuple[int, Row]]:
    """Row groups before `first` are left out unread; the others come a few thousand rows at a time."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise Unusable("reading Parquet needs pyarrow", "Install it: pip install 'alsobought[parquet]'") from error
    try:
        file = pq.ParquetFile(source, pre_buffer=False)
    except pa.ArrowException as error:
        raise Unusable(f"not Parquet: {str(error).splitlines()[0]}") from error
    before, skipped = 0, 0
    while skipped < file.num_row_groups and before + file.metadata.row_group(skipped).num_rows < first:
        before += file.metadata.row_group(skipped).num_rows
        skipped += 1
    place = [before]
    rows.columns, rows.total, rows.unit = file.schema_arrow.names, file.metadata.num_rows, "rows"
    rows.place = lambda: place[0]

    def read() -> Iterator[tuple[int, Row]]:
        groups = list(range(skipped, file.num_row_groups))
        try:
            for batch in file.iter_batches(batch_size=8192, row_groups=groups, use_threads=False):
                for row in _in_microseconds(batch).to_pylist():
                    place[0] += 1
                    if place[0] >= first:
                        yield place[0], row
        except pa.ArrowException as error:
            raise Unusable(f"not whole Parquet: {str(error).splitlines()[0]}") from error

    return read()


def _in_microseconds(batch: Any) -> Any:
    """Times of nanoseconds as Python has them: to the microsecond."""
    import pyarrow as pa

    columns = [
        column.cast(pa.timestamp("us", column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _seekable(path: Path, stream: io.BufferedReader) -> IO[bytes]:
    """Parquet is read from its end: what is zipped or comes through a pipe goes to a temporary file first."""
    if path != STDIN and not isinstance(stream.raw, gzip.GzipFile):
        return path.open("rb")
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - gone with its last reader
    shutil.copyfileobj(stream, spooled, BLOCK)
    spooled.seek(0)
    return spooled


def _named(name: str, numbered: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    with _told_as(name):
        yield from numbered


@contextmanager
def _told_as(name: str) -> Iterator[None]:
    """Whatever goes wrong with reading, as one sentence with the file's name."""
    try:
        yield
    except Unusable as error:
        told = error.message if name in error.message else f"{name} cannot be read: {error.message}"
        raise Unusable(told, error.hint) from error
    except EOFError as error:
        raise Unusable(f"{name} cannot be read: its gzip data ends too early", "Is it still being written?") from error
    except csv.Error as error:
        raise Unusable(f"{name} cannot be read: {error}", "Is a quotation mark left open?") from error
    except (OSError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"{name} cannot be read: {why[:1].lower()}{why[1:]}") from error
