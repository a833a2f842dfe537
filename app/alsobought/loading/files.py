"""Open a file or standard input as numbered rows; detect gzip, the format, the encoding and the delimiter.

Rows count from 1: lines of NDJSON, elements of a JSON array, records below the header of CSV.
Progress is counted in bytes, for Parquet in rows. Errors of reading name the file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

from alsobought.errors import Unusable
from alsobought.formats.reading import FORMATS as CALL_FORMATS
from alsobought.loading import readers
from alsobought.loading.dialect import Encoding, detect_encoding
from alsobought.loading.readers import BLOCK_BYTES, BOM, Malformed, Row

__all__ = ["FORMATS", "STDIN", "Layout", "Malformed", "Row", "Rows", "digest", "display_name", "open_rows"]

FORMATS = ("ndjson", "json", "csv", "tsv", "parquet", *CALL_FORMATS)
SUFFIXES = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
DELIMITERS = {"csv": ",", "tsv": "\t"}
STDIN = Path("-")


@dataclass(frozen=True)
class Layout:
    """How a file is written; what is empty is detected.

    `columns` are the names of a CSV file without a header. `usual_format` is that of a preset, for a
    file whose name has none.
    """

    format: str = ""
    delimiter: str = ""
    encoding: str = ""
    columns: tuple[str, ...] = ()
    usual_format: str = ""


@dataclass
class Rows:
    """An open file.

    `columns` is None unless the format has a header; `position` is the part of `total` that was
    read; `notes` are what was assumed.
    """

    name: str
    format: str
    columns: list[str] | None
    numbered: Iterator[tuple[int, Row]]
    position: Callable[[], int]
    total: int | None
    unit: str = "bytes"
    notes: list[str] = field(default_factory=list)

    def peek(self, size: int) -> list[tuple[int, Row]]:
        """The next rows, without consuming them."""
        first = list(islice(self.numbered, size))
        rest = self.numbered
        self.numbered = (row for part in (first, rest) for row in part)
        return first


def display_name(path: Path) -> str:
    return "standard input" if path == STDIN else str(path)


@contextmanager
def open_rows(path: Path, layout: Layout, first: int = 1) -> Iterator[Rows]:
    """The rows of a file from number `first` on.

    Raises Unusable if it cannot be read, here or while rows are consumed.
    """
    name = display_name(path)
    with ExitStack() as stack:
        with _errors_named(name):
            counter = _ByteCounter(stack.enter_context(_open_raw(path)))
            stream = _unzipped(counter)
            if stream.peek(4)[:4] == b"PK\x03\x04":
                raise Unusable("it is a workbook or a zip archive", "Save it as CSV in the spreadsheet, or unzip it")
            file_format = layout.format or _format_of_name(path)
            encoding = _encoding(layout, file_format, stream)
            if encoding.name:
                stream = io.BufferedReader(_Transcoder(stream, encoding.name), BLOCK_BYTES)
            file_format = file_format or _detect_format(path, stream, layout.usual_format)
            total = None if path == STDIN else path.stat().st_size
            rows = Rows(name, file_format, None, iter(()), lambda: counter.count, total)
            rows.notes += [encoding.note] if encoding.note else []
            if layout.columns and file_format not in DELIMITERS:
                raise Unusable(f"--columns is for CSV, and {name} is {file_format}", "Leave it out")
            if file_format in DELIMITERS:
                usual = DELIMITERS[file_format]
                rows.columns, numbered, note = readers.read_csv(stream, layout.delimiter, usual, first, layout.columns)
                rows.notes += [note] if note else []
            elif file_format == "parquet":
                parquet = readers.read_parquet(stack.enter_context(_seekable(path, stream)), first)
                rows.columns, rows.total, rows.unit = parquet.columns, parquet.total, "rows"
                rows.position, numbered = parquet.position, parquet.numbered
            elif _is_array(file_format, stream):
                numbered = readers.read_array(stream, first)
            else:
                numbered = readers.read_lines(stream, first)
            rows.numbered = _named(name, numbered)
        yield rows


def digest(path: Path) -> str:
    """A hash of a file's contents, the same for the gzipped file.

    Raises Unusable if it cannot be read to its end.
    """
    with _errors_named(str(path)), _open_raw(path) as raw:
        stream = _unzipped(raw)  # a reference, so that raw is not closed early
        return hashlib.file_digest(stream, "blake2b").hexdigest()[:16]


def _open_raw(path: Path) -> io.FileIO:
    return io.FileIO(0, closefd=False) if path == STDIN else io.FileIO(path)


class _ByteCounter(io.RawIOBase):
    """Counts the bytes that are read through it."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw, self.count = raw, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        size = self._raw.readinto(buffer)
        self.count += size or 0
        return size


def _unzipped(raw: io.RawIOBase) -> io.BufferedReader:
    """The bytes, decompressed if they begin like gzip, whatever the name of the file."""
    stream: io.BufferedReader = io.BufferedReader(raw, BLOCK_BYTES)
    if stream.peek(2)[:2] != b"\x1f\x8b":
        return stream
    unzipped: Any = gzip.GzipFile(fileobj=stream)
    return io.BufferedReader(unzipped, BLOCK_BYTES)


class _Transcoder(io.RawIOBase):
    """Text of an encoding as UTF-8. Bytes that are not of the encoding stay invalid, so that their rows are rejected."""

    def __init__(self, raw: io.BufferedReader, encoding: str) -> None:
        self._raw, self._rest = raw, b""
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="surrogateescape")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            block = self._raw.read1(BLOCK_BYTES)
            self._rest = self._decoder.decode(block, final=not block).encode(errors="surrogateescape")
            if not block:
                break
        part, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _encoding(layout: Layout, file_format: str, stream: io.BufferedReader) -> Encoding:
    """Raises Unusable for an encoding that does not exist, or if it cannot be detected."""
    if layout.encoding:
        try:
            name = codecs.lookup(layout.encoding).name
        except LookupError as error:
            raise Unusable(f"--encoding: {layout.encoding!r} is not known", "Pass one such as cp1252") from error
        return Encoding("" if name in ("utf-8", "utf-8-sig") else name)
    sample = b"" if file_format == "parquet" else stream.peek(BLOCK_BYTES)
    if file_format or layout.usual_format or sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return detect_encoding(sample) if not sample.startswith(b"PAR1") else Encoding()
    return Encoding()


def _format_of_name(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return SUFFIXES.get(suffixes[-1], "") if suffixes else ""


def _detect_format(path: Path, stream: io.BufferedReader, usual: str) -> str:
    """By the first bytes, else the usual one. Raises Unusable if neither decides."""
    start = stream.peek(BLOCK_BYTES)
    for mark, file_format in ((b"PAR1", "parquet"), (b"{", "ndjson"), (b"[", "json")):
        if start.lstrip(BOM + b" \t\r\n").startswith(mark):
            return file_format
    if usual or not start.strip():
        return usual or "ndjson"
    raise Unusable(
        f"the format of {display_name(path)} is unknown", f"Pass --format {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    )


def _is_array(file_format: str, stream: io.BufferedReader) -> bool:
    """True for a JSON array; what begins with an object has one per line."""
    start = stream.peek(BLOCK_BYTES).lstrip()[:1]
    return start != b"{" if file_format == "json" else file_format in CALL_FORMATS and start == b"["


def _seekable(path: Path, stream: io.BufferedReader) -> IO[bytes]:
    """Parquet is read from its end: what is gzipped or piped goes to a temporary file first."""
    if path != STDIN and not isinstance(stream.raw, gzip.GzipFile):
        return path.open("rb")
    spooled = tempfile.TemporaryFile()  # noqa: SIM115 - deleted when the caller closes it
    shutil.copyfileobj(stream, spooled, BLOCK_BYTES)
    spooled.seek(0)
    return spooled


def _named(name: str, numbered: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    with _errors_named(name):
        yield from numbered


@contextmanager
def _errors_named(name: str) -> Iterator[None]:
    """Convert errors of reading to Unusable with the file's name."""
    try:
        yield
    except Unusable as error:
        message = error.message if name in error.message else f"{name} cannot be read: {error.message}"
        raise Unusable(message, error.hint) from error
    except EOFError as error:
        raise Unusable(f"{name} cannot be read: its gzip data ends too early", "Is it still being written?") from error
    except csv.Error as error:
        raise Unusable(f"{name} cannot be read: {error}", "Is a quotation mark left open?") from error
    except UnicodeError as error:
        raise Unusable(f"{name} cannot be read: {error}", "Pass the --encoding it was written with") from error
    except (OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"{name} cannot be read: {reason[:1].lower()}{reason[1:]}") from error
