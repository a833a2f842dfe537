"""One reader per format: NDJSON, a JSON array, CSV or TSV, and Parquet, as numbered rows.

Rows of JSON stay bytes, since they are decoded straight to their type. Everything is read in blocks,
except that a JSON array is read into memory.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import msgspec

from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item
from alsobought.loading.dialect import detect_dialect, looks_like_data, without_header

BLOCK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 16  # in which the delimiter is detected
MAX_LINE_BYTES = 16 << 20  # a file without line ends must not fill the memory
PARQUET_BATCH_ROWS = 8192
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Malformed:
    """A row that cannot be parsed: the problem, and the row as it is shown."""

    problem: str
    given: Any


Row = bytes | dict[str, Any] | Malformed


def read_lines(stream: io.BufferedReader, first: int) -> Iterator[tuple[int, Row]]:
    """Lines that are not blank. Lines before `first` are counted a block at a time."""
    number, rest = 1, b""
    while block := stream.read1(BLOCK_BYTES):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            raise Unusable(f"line {number + len(lines)} is longer than 16 MB", "NDJSON has one object per line")
        if number == 1 and lines:
            lines[0] = lines[0].removeprefix(BOM)
        if number + len(lines) > first:
            for at, line in enumerate(lines, number):
                if at >= first and line.strip():
                    yield at, line
        number += len(lines)
    if rest.strip() and number >= first:
        yield number, rest.removeprefix(BOM) if number == 1 else rest


def read_array(stream: io.BufferedReader, first: int) -> Iterator[tuple[int, Row]]:
    """The elements of a JSON array."""
    try:
        objects = msgspec.json.decode(stream.read().removeprefix(BOM), type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unusable(f"not a JSON array: {error}", "Pass --format ndjson if it has one object per line") from error
    for number, raw in enumerate(objects, 1):
        if number >= first:
            yield number, bytes(raw)


def read_csv(
    stream: io.BufferedReader, delimiter: str, usual: str, first: int, columns: Sequence[str] = ()
) -> tuple[list[str], Iterator[tuple[int, Row]], str]:
    """The header, each record as {column: text}, and a note on the delimiter if it was detected.

    `columns` are those of a file without a header.
    """
    dialect = detect_dialect(_text_sample(stream), delimiter, usual)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    if dialect.has_separator_line:
        text.readline()
    records = csv.reader(text, delimiter=dialect.delimiter, skipinitialspace=dialect.has_spaces)
    header = list(columns) or next(records, [])
    _check_header(header)

    def rows() -> Iterator[tuple[int, Row]]:
        for number, cells in enumerate(records, 1):
            if cells and number >= first:
                yield number, _record(header, cells)

    return header, rows(), dialect.note


def _text_sample(stream: io.BufferedReader) -> str:
    """The first complete lines."""
    sample = stream.peek(BLOCK_BYTES)[:SAMPLE_BYTES].decode("utf-8", errors="surrogateescape")
    return sample[: sample.rfind("\n") + 1] or sample


def _check_header(header: list[str]) -> None:
    fields = list(dict.fromkeys(name for kind in (Event, Item) for name in kind.__struct_fields__))
    if looks_like_data(header, fields):
        raise without_header(header)
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise Unusable(f"two columns are called {repeated[0]!r}", "Give each column a name of its own")
    if len(header) == 1 and (others := [mark for mark in ",;\t|" if mark in header[0]]):
        raise Unusable(
            f"the header is one column, {header[0]!r}", f"Pass --delimiter {others[0]!r} if that separates it"
        )


def _record(header: list[str], cells: list[str]) -> Row:
    if not (joined := "".join(cells)).isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            shown = [cell.encode(errors="surrogateescape").decode(errors="backslashreplace") for cell in cells]
            return Malformed("not UTF-8; pass the --encoding it was written with, such as cp1252", shown)
    if len(cells) != len(header):
        return Malformed(f"{len(cells)} cells, and the header has {len(header)}", cells)
    return dict(zip(header, cells, strict=True))


@dataclass
class ParquetRows:
    """An open Parquet file.

    `position` is the number of rows that were read or skipped, of `total`.
    """

    columns: list[str]
    total: int
    position: Callable[[], int]
    numbered: Iterator[tuple[int, Row]]


def read_parquet(source: IO[bytes], first: int) -> ParquetRows:
    """Row groups before `first` are skipped unread, the others are read in batches."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise Unusable("reading Parquet needs pyarrow", "Install it: pip install 'alsobought[parquet]'") from error
    try:
        file = pq.ParquetFile(source, pre_buffer=False)
    except pa.ArrowException as error:
        raise Unusable(f"not Parquet: {str(error).splitlines()[0]}") from error
    position, skipped_groups = 0, 0
    while skipped_groups < file.num_row_groups:
        group_rows = file.metadata.row_group(skipped_groups).num_rows
        if position + group_rows >= first:
            break
        position += group_rows
        skipped_groups += 1

    def rows() -> Iterator[tuple[int, Row]]:
        nonlocal position
        groups = list(range(skipped_groups, file.num_row_groups))
        try:
            for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS, row_groups=groups, use_threads=False):
                for row in _in_microseconds(batch).to_pylist():
                    position += 1
                    if position >= first:
                        yield position, row
        except pa.ArrowException as error:
            raise Unusable(f"damaged Parquet: {str(error).splitlines()[0]}") from error

    return ParquetRows(file.schema_arrow.names, file.metadata.num_rows, lambda: position, rows())


def _in_microseconds(batch: Any) -> Any:
    """Timestamps in nanoseconds are truncated to microseconds, the resolution of Python."""
    import pyarrow as pa

    columns = [
        column.cast(pa.timestamp("us", column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
