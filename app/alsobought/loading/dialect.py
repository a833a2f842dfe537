"""Detect how a text file is written: its encoding, and the delimiter and header of CSV. Pure.

What is assumed is a note for the user, who can choose with a flag; what cannot be known is an error.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from alsobought.errors import Unusable
from alsobought.loading.time_cells import NUMBER, formats_of

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_RECORDS = 50
MAX_FOREIGN_SHARE = 0.4  # of letters outside ASCII, in a language that cp1252 can write
MIN_FOREIGN = 5  # letters, before that is judged
MAX_CONTROL_SHARE = 0.3  # of bytes that are rare signs in cp1252, and letters in cp850 or mac_roman
COMMON_SIGNS = frozenset(b"\x80\x82\x84\x85\x91\x92\x93\x94\x95\x96\x97\x99")  # the euro, quotes, dashes
SEPARATOR_LINE = re.compile(r'\ufeff?"?sep=(.)"?\r?\n')
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")


@dataclass(frozen=True)
class Encoding:
    """The name of an encoding, empty for UTF-8, and a note for the user if it was assumed."""

    name: str = ""
    note: str = ""


def detect_encoding(sample: bytes) -> Encoding:
    """UTF-16 by its byte order mark or its zeros; cp1252 for text that is not UTF-8. Raises Unusable if neither fits."""
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Encoding("utf-16", "read as UTF-16 (its byte order mark)")
    if zeros := sample.count(0):
        order = "le" if sample[1::2].count(0) > zeros / 2 else "be"
        if zeros > len(sample) / 5:
            return Encoding(f"utf-16-{order}", f"read as UTF-16-{order.upper()}; --encoding chooses another")
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return _not_utf8(sample)
    return Encoding()


def _not_utf8(sample: bytes) -> Encoding:
    lines = [line for line in sample.split(b"\n")[:-1] or [sample] if not line.isascii()]
    invalid = [line for line in lines if not _is_utf8(line)]
    if 2 * len(invalid) <= len(lines):
        return Encoding()  # single damaged rows, to be rejected
    text = b"\n".join(invalid).decode("cp1252", errors="replace")
    accented = sum(letter.isalpha() and not letter.isascii() for letter in text)
    high = [byte for line in invalid for byte in line if byte >= 0x80]
    rare = sum(byte < 0xA0 and byte not in COMMON_SIGNS for byte in high)
    if accented >= MIN_FOREIGN and accented > MAX_FOREIGN_SHARE * sum(map(str.isalpha, text)):
        raise Unusable("it is not UTF-8", "Pass --encoding, such as cp1251, shift_jis or gb18030")
    if rare > MAX_CONTROL_SHARE * len(high):
        raise Unusable("it is neither UTF-8 nor cp1252", "Pass --encoding, such as cp850 or mac_roman")
    word = next(iter(re.findall(r"\w*[^\W\x00-\x7f]+\w*", text)), "")
    example = f", for example {word!r}" if word else ""
    return Encoding("cp1252", f"not UTF-8, read as cp1252{example}; --encoding chooses another")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Dialect:
    """How cells are separated: `a, b` has spaces, and a line `sep=;` may come before the header."""

    delimiter: str
    has_separator_line: bool = False
    has_spaces: bool = False
    note: str = ""


def detect_dialect(sample: str, delimiter: str, usual: str) -> Dialect:
    """The delimiter that was given, else that of a line `sep=;`, else the one that separates most columns."""
    line = SEPARATOR_LINE.match(sample)
    note = ""
    if line:
        delimiter = delimiter or line[1]
    elif not delimiter:
        widths = {mark: _width(sample, mark) for mark in DELIMITERS}
        best = max(DELIMITERS, key=lambda mark: (widths[mark], mark == usual))
        delimiter = usual if widths[best] == (0, 1) else best
        note = "" if delimiter == usual else f"cells are separated by {_named(best)}; --delimiter chooses another"
    names = sample[line.end() if line else 0 :].partition("\n")[0].split(delimiter)
    has_spaces = len(names) > 1 and all(name.startswith(" ") for name in names[1:])
    return Dialect(delimiter, bool(line), has_spaces, note)


def _named(delimiter: str) -> str:
    return "tabs" if delimiter == "\t" else repr(delimiter)


def _width(sample: str, delimiter: str) -> tuple[int, int]:
    """The number of records with as many cells as the header, and that number of cells."""
    try:
        records = list(islice(csv.reader(sample.splitlines(keepends=True), delimiter=delimiter), SAMPLE_RECORDS))
    except csv.Error:
        return 0, 0
    if not records or len(records[0]) == 1 or any('"' in name for name in records[0]):  # a quoted name was divided
        return 0, 1
    records = [record for record in records if record]
    return sum(len(record) == len(records[0]) for record in records), len(records[0])


def looks_like_data(first_line: Sequence[str], fields: Sequence[str]) -> bool:
    """True for a first line with times, or with numbers only, and no field's name.

    >>> looks_like_data(["1", "2026-11-07T10:51:09.277Z", "214536502"], ["user_id"])
    True
    """
    if not {cell.lower() for cell in first_line}.isdisjoint(fields):
        return False
    return any(map(_is_time, first_line)) or (bool(first_line) and all(map(NUMBER.fullmatch, first_line)))


def _is_time(cell: str) -> bool:
    return bool(ISO_TIME.fullmatch(cell)) or (cell[:1].isdigit() and bool(formats_of(cell)))


def without_header(first_line: Sequence[str]) -> Unusable:
    """The error of a file whose first line is data."""
    shown = ", ".join(map(repr, first_line[:4])) + (" …" if len(first_line) > 4 else "")
    names = ",".join("timestamp" if _is_time(cell) else "?" for cell in first_line)
    return Unusable(
        f"its first line looks like data, not like a header: {shown}",
        f"Pass --columns {names} with names such as user_id and item_id",
    )
