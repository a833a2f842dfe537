"""The requests that a replay asks: from the table `requests`, or from a file that a pull request carries.

A file has one request a line, {"item_id": ["tea"], "limit": [3]}. "@times" says how often it was asked, and "now", where
it is given, is the clock of that request; neither can be the name of a parameter.
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
from alsobought.storage.warehouse import Warehouse

SHAPE = 'A line is an object of parameters: {"item_id": ["tea"], "limit": [3]}'
RECORD = "Ask it while `alsobought serve` runs, or name a file of requests with --from"


@dataclass(frozen=True)
class Request:
    """Parameters with the list of their values, how often they were asked, and their clock if it is their own."""

    parameters: Mapping[str, Sequence[Any]]
    times: int = 1
    now: datetime | None = None


def recorded(warehouse: Warehouse, pipe: str, most: int) -> list[Request]:
    """The newest distinct requests to a pipe, each with how often it was asked. What the caller got wrong is left out.

    Raises Unusable if there is none.
    """
    sql = (
        f"select parameters, count() as times from {warehouse.database}.requests"
        " where pipe = {pipe:String} and status != 400 and parameters != ''"
        " group by parameters order by max(time) desc, parameters limit {most:UInt32}"
    )
    found = warehouse.trusted_rows(sql, {"pipe": pipe, "most": most}).data
    if not found:
        raise Unusable(f"no request to {pipe} is recorded", RECORD)
    return _together(Request(msgspec.json.decode(text), int(times)) for text, times in found)


def read_requests(path: Path, most: int) -> list[Request]:
    """The first distinct requests of a file; one that stands there twice was asked twice. Raises Unusable with the line."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Unusable(f"{path} cannot be read: {said}", SHAPE) from error
    found = _together(_request(line, f"{path}:{at}") for at, line in enumerate(lines, start=1) if line.strip())
    if not found:
        raise Unusable(f"{path} holds no request", SHAPE)
    return found[:most]


def write_requests(path: Path, requests: Iterable[Request]) -> None:
    """Raises Unusable."""
    lines = [
        {name: list(values) for name, values in one.parameters.items()}
        | ({"@times": one.times} if one.times > 1 else {})
        | ({"now": one.now} if one.now else {})
        for one in requests
    ]
    try:
        path.write_bytes(msgspec.json.Encoder().encode_lines(lines))
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {error.strerror}") from error


def _request(line: str, where: str) -> Request:
    try:
        given = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Unusable(f"{where}: {error}", SHAPE) from error
    times, now = given.pop("@times", 1), given.pop("now", None)
    if not isinstance(times, int) or isinstance(times, bool) or times < 1:
        raise Unusable(f"{where}: @times is {times!r}", "It is how often the request was asked, 1 or more")
    try:
        clock = in_utc(datetime.fromisoformat(now)) if now is not None else None
    except (TypeError, ValueError) as error:
        raise Unusable(f"{where}: now is {now!r}", "Write a time like 2026-01-31T12:00:00Z") from error
    parameters = {
        name: value if isinstance(value, list) else [value] for name, value in given.items() if value is not None
    }
    return Request(parameters, times, clock)


def _together(requests: Iterable[Request]) -> list[Request]:
    """Requests that differ only in the order of their parameters are one."""
    found: dict[tuple[bytes, datetime | None], Request] = {}
    for one in requests:
        parameters = dict(sorted(one.parameters.items()))
        key = msgspec.json.encode(parameters), one.now
        times = one.times + (found[key].times if key in found else 0)
        found[key] = Request(parameters, times, one.now)
    return list(found.values())
