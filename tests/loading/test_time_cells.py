"""Times of any format, unit and zone; one that cannot be read names the flag that reads it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from alsobought.errors import Unusable
from alsobought.loading.rejected_row import RejectedRow
from alsobought.loading.time_cells import TimeStyle, formats_of, to_time, zone_of

AT = datetime(2025, 11, 27, 0, 0, 0, 123456, UTC)


@pytest.mark.parametrize(
    ("value", "style", "time"),
    [
        ("1764201600123456", TimeStyle("us"), AT),
        (1764201600123456, TimeStyle("us"), AT),
        ("1764201600123456789", TimeStyle("ns"), AT),
        ("1764201600123", TimeStyle("ms"), AT.replace(microsecond=123000)),
        ("1764201600", TimeStyle("s"), AT.replace(microsecond=0)),
        ("27/11/2025 00:30", TimeStyle(format="%d/%m/%Y %H:%M"), datetime(2025, 11, 27, 0, 30, tzinfo=UTC)),
        ("20251127", TimeStyle(format="%Y%m%d"), datetime(2025, 11, 27, tzinfo=UTC)),
        ("2025-07-01 12:00", TimeStyle(zone=zone_of("Europe/Berlin")), datetime(2025, 7, 1, 10, tzinfo=UTC)),
        ("2025-07-01T12:00Z", TimeStyle(zone=zone_of("Europe/Berlin")), datetime(2025, 7, 1, 12, tzinfo=UTC)),
        (date(2025, 1, 2), TimeStyle(zone=zone_of("Europe/Berlin")), datetime(2025, 1, 1, 23, tzinfo=UTC)),
        ("1.1.2025 12", TimeStyle("", "%d.%m.%Y %H", zone_of("Asia/Tokyo")), datetime(2025, 1, 1, 3, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_the_flags_describe_it(value: object, style: TimeStyle, time: datetime) -> None:
    assert to_time(value, style) == time


@pytest.mark.parametrize(
    ("text", "style", "problem"),
    [
        ("1764201600000000", TimeStyle(), "is a number; pass --epoch us if it is 2025-11-27T00:00:00Z"),
        ("1764201600000000", TimeStyle("ms"), "is not a time in ms; pass --epoch us if it is 2025-11-27"),
        ("1764201600", TimeStyle("us"), "is not a time in us; pass --epoch s if it is 2025-11-27"),
        ("20251127", TimeStyle(), "pass --time-format '%Y%m%d'"),
        ("12345", TimeStyle(), "12345 is a number, and no time since 1971 in s, ms, us, ns"),
        ("27/11/2025 07:45", TimeStyle(), "is not a time like 2026-01-31T12:00:00Z; pass --time-format '%d/%m/%Y %H:%M'"),
        ("11/27/2025 7:45 PM", TimeStyle(), "pass --time-format '%m/%d/%Y %I:%M %p'"),
        ("1/2/2025", TimeStyle(), "'%d/%m/%Y', or --time-format '%m/%d/%Y' if the month comes first"),
        ("27.11.2025", TimeStyle(format="%d/%m/%Y"), "'27.11.2025' does not match --time-format '%d/%m/%Y'"),
        ("soon", TimeStyle(), "'soon' is not a time like 2026-01-31T12:00:00Z"),
    ],
)  # fmt: skip
def test_a_time_that_cannot_be_read_names_the_flag_that_reads_it(text: str, style: TimeStyle, problem: str) -> None:
    with pytest.raises(RejectedRow) as caught:
        to_time(text, style)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("31/12/2025 07:45:30.5", ["%d/%m/%Y %H:%M:%S.%f"]),
        ("2025/12/31", ["%Y/%m/%d"]),
        ("31.12.25", ["%d.%m.%y"]),
        ("Dec 31, 2025", ["%b %d, %Y"]),
        ("31 December 2025 07:45", ["%d %B %Y %H:%M"]),
        ("99/99/2025", []),
        ("Monday", []),
    ],
)
def test_the_formats_of_a_text_are_those_that_read_it(text: str, formats: list[str]) -> None:
    assert formats_of(text) == formats


def test_an_unknown_zone_is_an_error() -> None:
    with pytest.raises(Unusable, match="'Berlin' is not a time zone"):
        zone_of("Berlin")
