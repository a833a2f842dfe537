"""Read a time from text, a date or a number, and name the flag that would read one that cannot be read. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from alsobought.errors import Unusable
from alsobought.events import FIRST_TIME
from alsobought.loading.rejected_row import RejectedRow

EPOCHS = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}  # units in a second
START = datetime(1970, 1, 1, tzinfo=UTC)
LAST_TIME = datetime(2100, 1, 1, tzinfo=UTC)  # of numbers: each fits one unit only, since 1971
NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
MONTH_NAMES = ("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y")
CLOCKS = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S %z", " %H:%M:%S GMT")
MONTH = re.compile(r"\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
NUMERIC = re.compile(
    r"(?P<first>\d{1,4})(?P<mark>[/.-])(?P<second>\d{1,2})(?P=mark)(?P<third>\d{4}|\d\d)"
    r"(?:(?P<gap>,? |T)(?P<hour>\d{1,2}:\d\d)(?P<seconds>:\d\d)?(?P<fraction>\.\d{1,6})?(?P<half> ?[AaPp][Mm])?)?"
)


@dataclass(frozen=True)
class TimeStyle:
    """How times are written: the unit of numbers, the format of strptime, the zone of times without one."""

    epoch: str = ""
    format: str = ""
    zone: tzinfo = UTC


def zone_of(name: str) -> tzinfo:
    """The zone with this name; UTC without one. Raises Unusable."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, LookupError) as error:
        raise Unusable(f"--time-zone: {name!r} is not a time zone", "Pass one such as Europe/Berlin") from error


def to_time(value: Any, style: TimeStyle = TimeStyle()) -> datetime:
    """A time from ISO text, a date, text of `format`, or a number of seconds, ms, us or ns since 1970.

    >>> to_time("2026-01-31 12:00:00 UTC")
    datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.timezone.utc)
    >>> to_time("1767225600000", TimeStyle("ms"))
    datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, str):
        return _in_zone(_from_text(value, style), style.zone)
    if isinstance(value, datetime):
        return _in_zone(value, style.zone)
    if isinstance(value, date):
        return _in_zone(datetime(value.year, value.month, value.day), style.zone)
    return _in_zone(_from_text(str(value), style), style.zone)


def _in_zone(time: datetime, zone: tzinfo) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=zone).astimezone(UTC)


def _from_text(text: str, style: TimeStyle) -> datetime:
    if style.format:
        return _by_format(text.strip(), style.format)
    if text[4:5] == "-":
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass  # the slower attempts below raise, if it is none of these either
    text = text.strip()
    if NUMBER.fullmatch(text):
        return _from_number(text, style.epoch)
    try:
        return datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", text))
    except ValueError as error:
        problem = f"{text[:100]!r} is not a time like 2026-01-31T12:00:00Z"
        if formats := formats_of(text):
            problem += f"; pass {format_flags(formats)}"
        raise RejectedRow(problem) from error


@lru_cache(4096)  # the lines of an order have one time, and strptime is slow
def _by_format(text: str, time_format: str) -> datetime:
    try:
        return datetime.strptime(text, time_format)
    except ValueError as error:
        raise RejectedRow(f"{text[:100]!r} does not match --time-format {time_format!r}") from error


def _from_number(text: str, epoch: str) -> datetime:
    fitting = {unit: time for unit in EPOCHS if (time := _since_1970(text, unit)) and FIRST_TIME <= time < LAST_TIME}
    if epoch in fitting:
        return fitting[epoch]
    fault = f"{text[:100]} is not a time in {epoch}" if epoch else f"{text[:100]} is a number"
    for unit, time in fitting.items():
        raise RejectedRow(f"{fault}; pass --epoch {unit} if it is {time:%Y-%m-%dT%H:%M:%SZ}")
    if formats := formats_of(text):
        raise RejectedRow(f"{fault}; pass {format_flags(formats)}")
    if epoch and (time := _since_1970(text, epoch)):
        return time  # too early or too late, as the rules of events say
    raise RejectedRow(f"{fault}, and no time since 1971 in {', '.join(EPOCHS)}")


def _since_1970(text: str, unit: str) -> datetime | None:
    try:
        if text.isdecimal():
            return START + timedelta(microseconds=int(text) * 1_000_000 // EPOCHS[unit])
        return START + timedelta(seconds=float(text) / EPOCHS[unit])
    except OverflowError:
        return None


def format_flags(formats: list[str]) -> str:
    """The flag for the first format, and for the other one if a time fits two.

    >>> format_flags(formats_of("13/12/2009 07:45"))
    "--time-format '%d/%m/%Y %H:%M'"
    """
    first, *others = [f"--time-format '{one}'" for one in formats]
    return first + "".join(f", or {other} if the month comes first" for other in others[:1])


def formats_of(text: str) -> list[str]:
    """The formats of strptime that read a text, the likelier first.

    >>> formats_of("1/2/2009 7:45"), formats_of("31.01.26")
    (['%d/%m/%Y %H:%M', '%m/%d/%Y %H:%M'], ['%d.%m.%y'])
    """
    return [one for one in dict.fromkeys(_candidates(text.strip()[:100])) if _reads(one, text.strip())]


def _reads(time_format: str, text: str) -> bool:
    try:
        return FIRST_TIME.year <= datetime.strptime(text, time_format).year < LAST_TIME.year
    except ValueError:
        return False


def _candidates(text: str) -> Iterator[str]:
    if text.isdecimal():
        yield from {8: ["%Y%m%d"], 12: ["%Y%m%d%H%M"], 14: ["%Y%m%d%H%M%S"]}.get(len(text), [])
    elif match := NUMERIC.fullmatch(text):
        clock = ""
        if match["hour"]:
            hours = "%I:%M" if match["half"] else "%H:%M"
            clock = match["gap"] + hours + (":%S" if match["seconds"] else "") + (".%f" if match["fraction"] else "")
            clock += f"{' ' if match['half'].startswith(' ') else ''}%p" if match["half"] else ""
        year = "%Y" if len(match["third"]) == 4 else "%y"
        orders = [("%Y", "%m", "%d")] if len(match["first"]) == 4 else [("%d", "%m", year), ("%m", "%d", year)]
        yield from (match["mark"].join(order) + clock for order in orders)
    elif MONTH.search(text):
        yield from (day + clock for day in MONTH_NAMES for clock in (CLOCKS if ":" in text else ("",)))
