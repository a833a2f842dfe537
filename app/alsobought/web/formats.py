"""The forms an answer can take: which one a request asks for, the bytes of it, and what a cache may do with them.

What a reader would guess wrong: the validator says that two answers say the same, not that their bytes are equal. The
request_id, the statistics and `as_of` differ every time, and 304 leaves the caller with those of before.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec
from werkzeug.datastructures import MIMEAccept

from alsobought.errors import NoSuchPipe, NotAcceptable
from alsobought.serving.answers import Answer

FORMATS = {
    "json": "application/json",
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
FILES = ("csv", "parquet")  # what a browser saves rather than shows


def chosen(suffix: str, accept: MIMEAccept) -> str:
    """The format of the suffix, else the one that the Accept header likes best, JSON where it does not mind.

    >>> chosen("", MIMEAccept([("text/csv", 0.5), ("*/*", 0.1)]))
    'csv'

    Raises NoSuchPipe for another suffix, NotAcceptable.
    """
    if suffix:
        if suffix not in FORMATS:
            raise NoSuchPipe(f"no format called {suffix!r}", f"There are {', '.join(FORMATS)}")
        return suffix
    if not accept:
        return "json"
    plain = MIMEAccept([(kind.partition(";")[0], quality) for kind, quality in accept if kind])
    best = plain.best_match(FORMATS.values()) if plain else FORMATS["json"]
    if best is None:
        there_is = ", ".join(FORMATS.values())
        raise NotAcceptable("no format that Accept asks for", f"There are {there_is}; or append .csv to the path")
    return next(name for name, kind in FORMATS.items() if kind == best)


def tag(found: Answer, fmt: str) -> str:
    """The validator, as If-None-Match brings it back. What was asked is in the address that it belongs to."""
    return f"{found.digest}-{fmt}"


def validity(found: Answer, fmt: str) -> dict[str, str]:
    """The headers that say how long an answer may be used, and how to ask whether it still holds."""
    keep = f"max-age={int(found.seconds)}" if found.seconds >= 1 else "no-cache"
    return {"ETag": f'W/"{tag(found, fmt)}"', "Cache-Control": f"private, {keep}"}


def saved_as(found: Answer, fmt: str) -> dict[str, str]:
    """The header that gives a file its name."""
    return {"Content-Disposition": f'attachment; filename="{found.pipe.name}.{fmt}"'} if fmt in FILES else {}


def to_ndjson(rows: Sequence[dict[str, Any]]) -> bytes:
    """One JSON object per line."""
    return msgspec.json.Encoder().encode_lines(rows)


def to_csv(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """Python leaves a lone carriage return unquoted where lines end with a newline; readers take it for the end of a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    for row in rows:
        cells = [_cell(row[name]) for name in names]
        (quoting if any("\r" in str(cell) for cell in cells) else writer).writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Lists, maps and truth as JSON has them, since Python's way to write them is nobody else's."""
    return msgspec.json.encode(value).decode() if isinstance(value, (bool, list, dict)) else value
