"""The body and headers of a response: JSON around that of `serving.answer`, CSV, NDJSON or Parquet, as negotiated.

A list with more rows to come has the cursor of the next page in its JSON, and in every format a header `Link`.

The entity tag is a weak validator: two answers with equal rows have the same tag, although
request_id, statistics and `as_of` differ. After a 304 a client keeps the earlier ones.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from werkzeug.datastructures import MIMEAccept

from alsobought.errors import NoSuchPipe, NotAcceptable
from alsobought.pipes.parameters import CURSOR
from alsobought.recommendation_ids import Placement
from alsobought.serving.answer import Answer

FORMATS = {
    "json": "application/json",
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
FILE_FORMATS = ("csv", "parquet")  # a browser should save them, not show them
MAX_LINK = 3_500  # bytes: proxies refuse a response whose headers together exceed 4 KB


def choose_format(suffix: str, accept: MIMEAccept) -> str:
    """The format of the suffix, else the one that the Accept header prefers, else JSON.

    >>> choose_format("", MIMEAccept([("text/csv", 0.5), ("*/*", 0.1)]))
    'csv'

    Raises NoSuchPipe for an unknown suffix, NotAcceptable.
    """
    if suffix:
        if suffix not in FORMATS:
            raise NoSuchPipe(f"no format called {suffix!r}", f"The formats are {', '.join(FORMATS)}")
        return suffix
    if not accept:
        return "json"
    plain = MIMEAccept([(kind.partition(";")[0], quality) for kind, quality in accept if kind])
    best = plain.best_match(FORMATS.values()) if plain else FORMATS["json"]
    if best is None:
        available = ", ".join(FORMATS.values())
        raise NotAcceptable(
            "none of the formats in Accept is available", f"Use {available}; or append .csv to the path"
        )
    return next(name for name, kind in FORMATS.items() if kind == best)


def entity_tag(answer: Answer, fmt: str, placement: Placement | None = None) -> str:
    """The opaque part of the ETag. It need not identify the request: a tag belongs to its URL.

    On a surface two variants may show equal rows: the tag is that of the placement, too.
    """
    return f"{answer.digest}-{fmt}" + (f"-{placement.key:x}" if placement and placement.surface else "")


def caching_headers(answer: Answer, fmt: str, placement: Placement | None = None) -> dict[str, str]:
    """ETag and Cache-Control. A client revalidates each time, since an event may make any answer stale."""
    return {"ETag": f'W/"{entity_tag(answer, fmt, placement)}"', "Cache-Control": "private, no-cache"}


def page_query(raw: Mapping[str, Sequence[Any]]) -> str:
    """The query string of a request, without its cursor, for `link_header`.

    >>> page_query({"item_id": ["a&b", "mug"], "limit": ["2"], "cursor": ["AAAA"]})
    'item_id=a%26b&item_id=mug&limit=2'
    """
    given = [(name, texts) for name, texts in raw.items() if name != CURSOR.name]
    return urlencode([(name, _parameter(text)) for name, texts in given for text in texts])


def _parameter(value: Any) -> str:
    """A parameter of a JSON body as a URL has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def link_header(answer: Answer, query: str) -> dict[str, str]:
    """`Link` to the next page (RFC 8288), relative to the URL of this one: it stays right behind a proxy that changes paths."""
    if not answer.next:
        return {}
    target = f"?{query}{'&' if query else ''}{CURSOR.name}={answer.next}"
    return {"Link": f'<{target}>; rel="next"'} if len(target) <= MAX_LINK else {}


def file_headers(answer: Answer, fmt: str) -> dict[str, str]:
    """The file name under which a browser saves the answer."""
    if fmt not in FILE_FORMATS:
        return {}
    return {"Content-Disposition": f'attachment; filename="{answer.pipe.name}.{fmt}"'}


def to_json(answer: Answer, request_id: str, recommendation_id: str, placement: Placement | None = None) -> bytes:
    """The JSON body: the encoded answer, on a surface what was drawn, and its two ids.

    The recommendation_id is null where there are none.
    """
    drawn = _drawn(placement) if placement and placement.surface else b""
    recommended = _json(recommendation_id or None)
    return b'%s%s,"recommendation_id":%s,"request_id":%s}' % (
        answer.json[:-1],
        drawn,
        recommended,
        _json(request_id),
    )


def _drawn(placement: Placement) -> bytes:
    names = placement.surface, placement.experiment or None, placement.variant or None
    return b',"surface":%s,"experiment":%s,"variant":%s' % tuple(map(_json, names))


_json = msgspec.json.Encoder().encode


def to_ndjson(rows: Sequence[dict[str, Any]]) -> bytes:
    """One JSON object per line."""
    return msgspec.json.Encoder().encode_lines(rows)


def to_csv(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """Quotes lone carriage returns, which readers take for the end of a row; Python does not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    for row in rows:
        cells = [_cell(row[name]) for name in names]
        (quoting if any("\r" in str(cell) for cell in cells) else writer).writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """Lists, maps and booleans as JSON, since only Python reads Python's notation."""
    return msgspec.json.encode(value).decode() if isinstance(value, (bool, list, dict)) else value
