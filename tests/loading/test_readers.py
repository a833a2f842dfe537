"""Every format gives the same numbered rows, from any row on; a file that cannot be read is an error with its name."""

from __future__ import annotations

import gzip
import io
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alsobought.errors import Unusable
from alsobought.events import Rules
from alsobought.loading.files import Layout, digest, open_rows
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.readers import Malformed, Row
from alsobought.loading.row_converter import row_reader
from tests.conftest import NOON

ROWS = [{"item_id": f"i{number}", "title": f"Grüner\n“Tee”, {number}"} for number in range(1, 51)]


def file_bytes(name: str) -> bytes:
    if "ndjson" in name or "jsonl" in name:
        return b"\n".join(json.dumps(row).encode() for row in ROWS)
    if "json" in name:
        return json.dumps(ROWS, indent=1).encode()
    if "parquet" in name:
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(ROWS), file, row_group_size=7)
        return file.getvalue()
    delimiter = "\t" if "tsv" in name else ","
    rows = [["item_id", "title"], *([row["item_id"], f'"{row["title"]}"'] for row in ROWS)]
    return "\r\n".join(delimiter.join(cells) for cells in rows).encode()


NAMES = ["e.ndjson", "e.jsonl", "e.json", "e.csv", "e.tsv", "e.parquet"]


def read(path: Path, layout: Layout | None = None, first: int = 1) -> list[tuple[int, Any]]:
    with open_rows(path, layout or Layout(), first) as rows:
        return [(number, json.loads(row) if isinstance(row, bytes) else row) for number, row in rows.numbered]


def write(path: Path, text: bytes | str) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def set_block_bytes(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    for module in ("files", "readers"):
        monkeypatch.setattr(f"alsobought.loading.{module}.BLOCK_BYTES", size)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_same_rows_from_any_row_on(tmp_path: Path, name: str, zipped: bool) -> None:
    text = file_bytes(name)
    file = write(tmp_path / f"{name}{'.gz' * zipped}", gzip.compress(text) if zipped else text)
    numbered = list(enumerate(ROWS, 1))
    for first in (1, 2, 7, 8, 9, 50, 51, 1000):
        assert read(file, first=first) == numbered[first - 1 :], first


@pytest.mark.parametrize("name", ["e.ndjson", "e.json", "e.parquet"])
def test_without_a_suffix_the_format_is_that_of_the_first_bytes(tmp_path: Path, name: str) -> None:
    assert len(read(write(tmp_path / "export", file_bytes(name)))) == 50
    assert len(read(write(tmp_path / "export.dat", gzip.compress(file_bytes(name))))) == 50
    assert read(write(tmp_path / "empty", b"")) == []


def test_a_json_file_may_have_one_object_per_line(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "e.json", file_bytes("e.ndjson")))) == 50


def test_blank_lines_count_and_a_byte_order_mark_does_not(tmp_path: Path) -> None:
    assert read(write(tmp_path / "e.ndjson", b'\xef\xbb\xbf{"a":1}\n\n \r\n{"a":2}\r\n')) == [
        (1, {"a": 1}),
        (4, {"a": 2}),
    ]
    assert read(write(tmp_path / "e.csv", b"\xef\xbb\xbfa\n1\n\n2\n")) == [(1, {"a": "1"}), (3, {"a": "2"})]


def test_lines_are_complete_wherever_a_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "e.ndjson", file_bytes("e.ndjson"))
    for block in (1, 2, 63, 64, 65, 1000):
        set_block_bytes(monkeypatch, block)
        for first in (1, 30):
            assert read(file, first=first) == list(enumerate(ROWS, 1))[first - 1 :]


def test_only_records_that_do_not_fit_the_header_are_malformed(tmp_path: Path) -> None:
    rows: list[tuple[int, Row]] = read(
        write(tmp_path / "e.csv", b"a;b\n1;2\n1\n1;2;3\ncaf\xe9;1\nth\xc3\xa9;6\n"), Layout("", ";")
    )
    assert rows == [
        (1, {"a": "1", "b": "2"}),
        (2, Malformed("1 cells, and the header has 2", ["1"])),
        (3, Malformed("3 cells, and the header has 2", ["1", "2", "3"])),
        (4, Malformed("not UTF-8; pass the --encoding it was written with, such as cp1252", ["caf\\xe9", "1"])),
        (5, {"a": "thé", "b": "6"}),
    ]


def test_parquet_values_are_python_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "at": pa.array([1_767_225_600_123_456_789], pa.timestamp("ns", "UTC")),
            "day": pa.array([date(2026, 1, 1)]),
            "price": pa.array([Decimal("2.50")]),
            "missing": pa.array([None], pa.int64()),
        }
    )
    pq.write_table(table, tmp_path / "e.parquet")
    ((_, row),) = read(tmp_path / "e.parquet")
    at = datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)
    assert row == {"at": at, "day": date(2026, 1, 1), "price": Decimal("2.50"), "missing": None}


@pytest.mark.parametrize("name", ["e.ndjson", "e.csv", "e.parquet"])
def test_a_file_brings_back_the_list_that_showed_an_item(tmp_path: Path, name: str) -> None:
    row = {
        "event_type": "click",
        "user_id": "ada",
        "item_id": "tea",
        "shelf": "AZt4__kA8BMRSyZDBWaJnPnJg2FwSi2N",
        "slot": 3,
    }
    if "parquet" in name:
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / name)
    else:
        csv = f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"
        write(tmp_path / name, csv if "csv" in name else json.dumps(row))
    mapping = ColumnMapping({"recommendation_id": "shelf", "position": "slot"})
    with open_rows(tmp_path / name, Layout()) as rows:
        (event,) = row_reader("events", mapping, Rules(NOON))([row for _, row in rows.numbered]).accepted
    assert (event.recommendation_id, event.position) == (row["shelf"], row["slot"])


@pytest.mark.parametrize("name", ["e.ndjson", "e.csv", "e.parquet", "e.ndjson.gz"])
def test_a_large_file_is_read_in_blocks(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_block_bytes(monkeypatch, 1 << 16)
    table = pa.table({"item_id": [f"i{number}" for number in range(400_000)]})
    path = tmp_path / name
    if "parquet" in name:
        pq.write_table(table, path)
    else:
        line = '{"item_id": "i%d"}\n' if "json" in name else "i%d\n"
        text = "item_id\n" * ("csv" in name) + "".join(line % number for number in range(400_000))
        path.write_bytes(gzip.compress(text.encode(), 1) if "gz" in name else text.encode())
    with open_rows(path, Layout()) as rows:
        next(rows.numbered)
        assert rows.total
        assert 0 < rows.position() < 0.9 * rows.total
        assert sum(1 for _ in rows.numbered) == 399_999
        assert rows.position() == rows.total


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("e.ndjson.gz", gzip.compress(file_bytes("e.ndjson"))[:-9], "gzip data ends too early"),
        ("e.csv.gz", gzip.compress(file_bytes("e.csv"))[:50] + b"x" * 99, "cannot be read: error -3"),
        ("e.csv", "a,b,a\n", "two columns are called 'a'"),
        ("e.csv", "a,b\n1,2\n" + '"' + "x,y\n" * 50_000, "field larger than field limit"),
        ("e.csv", "1,2026-01-01,7\n2,2026-01-02,8\n", r"first line looks like data.*--columns \?,timestamp,\?"),
        ("e.csv", "а,б\nжук,дом\n".encode("cp1251"), "it is not UTF-8. Pass --encoding, such as cp1251"),
        ("e.csv", "name\nBüro für Möbel\n".encode("mac_roman"), "neither UTF-8 nor cp1252. Pass --encoding"),
        ("e.json", b'[{"a": 1}, {"a": ', "not a JSON array"),
        ("e.ndjson", b'{"a": "' + b"x" * (17 << 20), "longer than 16 MB"),
        ("e.parquet", b"PAR1 and more", "not Parquet"),
        ("e.parquet", file_bytes("e.parquet")[:-5] + b"x" * 5, "not Parquet"),
        ("e.txt", "a,b\n1,2\n", "the format of .* is unknown"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_its_name(
    tmp_path: Path, name: str, text: bytes | str, problem: str
) -> None:
    with pytest.raises(Unusable, match=problem) as caught:
        read(write(tmp_path / name, text))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_error_without_pyarrow_has_the_command_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "e.parquet", file_bytes("e.parquet"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Unusable, match=r"needs pyarrow. Install it: pip install 'alsobought\[parquet\]'"):
        read(file)


def test_the_digest_of_a_file_is_the_same_gzipped(tmp_path: Path) -> None:
    text = file_bytes("e.csv")
    one, other = write(tmp_path / "a.csv", text), write(tmp_path / "b.gz", gzip.compress(text))
    assert digest(one) == digest(other) != digest(write(tmp_path / "c", text + b"\n"))
