"""Encoding, delimiter and header of a file are detected, and what was assumed is a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from alsobought.errors import Unusable
from alsobought.loading.dialect import detect_dialect, detect_encoding
from alsobought.loading.files import Layout, open_rows

TEXT = "Nummer;Name\r\n1;Küche\r\n2;Größe\r\n"
ROWS = [{"Nummer": "1", "Name": "Küche"}, {"Nummer": "2", "Name": "Größe"}]
SEMICOLONS = "cells are separated by ';'; --delimiter chooses another"


def read(path: Path, layout: Layout) -> tuple[list[object], list[str]]:
    with open_rows(path, layout) as rows:
        return [row for _, row in rows.numbered], rows.notes


@pytest.mark.parametrize(
    ("encoding", "flag", "note"),
    [
        ("utf-8", "", None),
        ("utf-8-sig", "", None),
        ("utf-16", "", "read as UTF-16 (its byte order mark)"),
        ("utf-16-le", "", "read as UTF-16-LE; --encoding chooses another"),
        ("utf-16-be", "", "read as UTF-16-BE; --encoding chooses another"),
        ("cp1252", "", "not UTF-8, read as cp1252, for example 'Küche'; --encoding chooses another"),
        ("mac_roman", "mac_roman", None),
        ("utf-16-le", "utf-16-le", None),
        ("utf-8", "UTF8", None),
    ],
)
def test_a_file_of_any_encoding_has_the_same_rows(tmp_path: Path, encoding: str, flag: str, note: str | None) -> None:
    file = tmp_path / "preise.csv"
    file.write_bytes(TEXT.encode(encoding))
    assert read(file, Layout(encoding=flag)) == (ROWS, [note, SEMICOLONS] if note else [SEMICOLONS])


def test_lines_of_json_have_an_encoding_too(tmp_path: Path) -> None:
    file = tmp_path / "items.ndjson"
    file.write_bytes('{"item_id": "Küche"}\n{"item_id": "2"}\n'.encode("utf-16"))
    assert read(file, Layout())[0] == ['{"item_id": "Küche"}'.encode(), b'{"item_id": "2"}']


def test_an_unknown_encoding_and_a_wrong_one_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "preise.csv"
    file.write_bytes(TEXT.encode())
    with pytest.raises(Unusable, match="--encoding: 'utf-ate' is not known"):
        read(file, Layout(encoding="utf-ate"))
    with pytest.raises(Unusable, match=r"preise\.csv cannot be read: .*--encoding"):
        read(file, Layout(encoding="utf-32"))


def test_signs_of_cp1252_without_accents_are_no_other_encoding() -> None:
    assert detect_encoding("id;price\n1;12,90 €\n2;8,00 £\n".encode("cp1252")).name == "cp1252"


def test_a_workbook_is_not_read_as_text(tmp_path: Path) -> None:
    file = tmp_path / "preise.csv"
    file.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(Unusable, match=r"preise\.csv cannot be read: it is a workbook .* Save it as CSV"):
        read(file, Layout())


def test_a_character_that_a_block_divides_is_not_damaged() -> None:
    assert detect_encoding("Kü".encode()[:-1]).name == ""


@pytest.mark.parametrize(
    ("sample", "given", "delimiter", "has_note"),
    [
        ("a,b\n1,2\n", "", ",", False),
        ("a;b\n1;2,5\n", "", ";", True),
        ("a;b, c;d\n1;2,5;3\n", "", ";", True),  # as many commas fit, and fewer columns
        ("id,tags\n1,a;b\n", "", ",", False),
        ('id,"a;b;c"\n1,"x;y;z"\n', "", ",", False),
        ("a\tb\n1\t2\n", "", "\t", True),
        ("a|b\n1|2\n", "", "|", True),
        ("item_id\n1\n", "", ",", False),
        ("a;b\n1;2\n", ",", ",", False),
        ("sep=;\r\na;b\r\n", "", ";", False),
        ('"sep=;"\r\na;b\r\n', "", ";", False),
        ("\ufeffsep=|\na|b\n", "", "|", False),
        ("sep=;\r\na,b\r\n", ",", ",", False),
    ],
)
def test_the_delimiter_is_the_one_that_separates_most_columns(
    sample: str, given: str, delimiter: str, has_note: bool
) -> None:
    dialect = detect_dialect(sample, given, ",")
    assert (dialect.delimiter, bool(dialect.note)) == (delimiter, has_note)


def test_the_line_with_the_separator_is_no_row(tmp_path: Path) -> None:
    file = tmp_path / "preise.csv"
    file.write_bytes(b"\xef\xbb\xbfsep=;\r\n" + TEXT.encode())
    assert read(file, Layout()) == (ROWS, [])


def test_spaces_after_each_delimiter_are_not_part_of_the_cells(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_text('item_id, title\n7, "a, b"\n')
    assert read(file, Layout()) == ([{"item_id": "7", "title": "a, b"}], [])
    file.write_text("item_id,title, price\n7, a, 1\n")
    assert read(file, Layout()) == ([{"item_id": "7", "title": " a", " price": " 1"}], [])


def test_a_file_without_a_header_gets_the_columns_of_the_flag(tmp_path: Path) -> None:
    file = tmp_path / "clicks.csv"
    file.write_text("1,2026-01-01,tea\n2,2026-01-02,mug\n")
    rows, _ = read(file, Layout(columns=("user_id", "timestamp", "item_id")))
    assert rows == [
        {"user_id": "1", "timestamp": "2026-01-01", "item_id": "tea"},
        {"user_id": "2", "timestamp": "2026-01-02", "item_id": "mug"},
    ]
    (tmp_path / "clicks.ndjson").write_text("{}\n")
    with pytest.raises(Unusable, match="--columns is for CSV"):
        read(tmp_path / "clicks.ndjson", Layout(columns=("user_id",)))


@pytest.mark.parametrize("header", ["2019,2020,item_id", "Name,1,2,3", "Jan 2026,Name"])
def test_a_header_may_have_numbers(tmp_path: Path, header: str) -> None:
    file = tmp_path / "pivot.csv"
    file.write_text(f"{header}\n")
    with open_rows(file, Layout()) as rows:
        assert rows.columns == header.split(",")
