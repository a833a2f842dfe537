"""The requests of a comparison: from the table `requests`, or from a file that a pull request carries.

A file has one request per line, {"item_id": ["tea"], "limit": [3]}. "@times" is how often it was made, and the optional
"now" its clock; neither can be the name of a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.events import in_utc
from alsobought.pipes.parameters import CURSOR
from alsobought.storage.warehouse import Warehouse

LINE_HINT = 'A line is an object of parameters: {"item_id": ["tea"], "limit": [3]}'
RECORD_HINT = "Send requests while `alsobought serve` runs, or pass a file of requests with --from"


@dataclass(frozen=True)
class Request:
    """Parameters with their lists of values, how often the request was made, and its own clock, if any."""

    parameters: Mapping[str, Sequence[Any]]
    times: int = 1
    now: datetime | None = None


def recorded_requests(warehouse: Warehouse, pipe: str, limit: int) -> list[Request]:
    """The newest distinct requests to a pipe, with their counts. Requests with invalid parameters are excluded.

    So are later pages of a list: the first page already compares it.

    Raises Unusable if there is none.
    """
    sql = (
        f"select parameters, count() as times from {warehouse.database}.requests"
        " where pipe = {pipe:String} and status != 400 and parameters != '' and shadow_of = ''"
        f" and not JSONHas(parameters, '{CURSOR.name}')"
        " group by parameters order by max(time) desc, parameters limit {limit:UInt32}"
    )
    rows = warehouse.trusted_rows(sql, {"pipe": pipe, "limit": limit}).data
    if not rows:
        raise Unusable(f"no request to {pipe} is recorded", RECORD_HINT)
    return _merge(Request(msgspec.json.decode(text), int(times)) for text, times in rows)


def read_requests(path: Path, limit: int) -> list[Request]:
    """The first distinct requests of a file; duplicates are counted. Raises Unusable with the line."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Unusable(f"cannot read {path}: {reason}", LINE_HINT) from error
    requests = _merge(_parse(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip())
    if not requests:
        raise Unusable(f"{path} contains no request", LINE_HINT)
    return requests[:limit]


def write_requests(path: Path, requests: Iterable[Request]) -> None:
    """Raises Unusable."""
    lines = [
        {name: list(values) for name, values in request.parameters.items()}
        | ({"@times": request.times} if request.times > 1 else {})
        | ({"now": request.now} if request.now else {})
        for request in requests
    ]
    try:
        path.touch(0o600)  # they may be personal
        path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
    except OSError as error:
        raise Unusable(f"cannot write {path}: {error.strerror}") from error


def _parse(line: str, location: str) -> Request:
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unusable(f"{location}: {error}", LINE_HINT) from error
    times, now = fields.pop("@times", 1), fields.pop("now", None)
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        raise Unusable(f"{location}: @times is {times!r}", "It is how often the request was made, 1 or more")
    try:
        clock = in_utc(datetime.fromisoformat(now)) if now is not None else None
    except (TypeError, ValueError) as error:
        raise Unusable(f"{location}: now is {now!r}", "Write a time like 2026-01-31T12:00:00Z") from error
    parameters = {
        name: value if isinstance(value, list) else [value] for name, value in fields.items() if value is not None
    }
    return Request(parameters, times, clock)


def _merge(requests: Iterable[Request]) -> list[Request]:
    """Merges requests that differ only in the order of their parameters."""
    merged: dict[tuple[bytes, datetime | None], Request] = {}
    for request in requests:
        parameters = dict(sorted(request.parameters.items()))
        key = msgspec.json.encode(parameters), request.now
        times = request.times + (merged[key].times if key in merged else 0)
        merged[key] = Request(parameters, times, request.now)
    return list(merged.values())
