"""Read a number from text, with a decimal point or a decimal comma. Pure.

`1.299` is 1,299 in one country and 1.299 in another. Which of them a file means is never guessed: its
other numbers decide (`12.90` has one reading only), or else its reader.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from alsobought.loading.rejected_row import RejectedRow

MARKS = {".": ",", ",": "."}  # the decimal mark, and the thousands mark that goes with it
PLAIN = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
SPACES = " \u00a0\u202f\u2009'\u2019"  # between thousands, whatever the decimal mark
CURRENCY = r"(?:[A-Z]{3}|[$€£¥₹₽₺₩₪₫₴])?"
MAX_SHOWN = 3
MANY_TIMES = 20  # as many numbers with a decimal point make one with a comma a fault of its row


def _pattern(decimal: str) -> re.Pattern[str]:
    thousands = re.escape(MARKS[decimal] + SPACES)
    whole = rf"[1-9]\d{{0,2}}(?:(?P<mark>[{thousands}])\d{{3}})(?:(?P=mark)\d{{3}})*|\d*"
    return re.compile(
        rf"{CURRENCY}\s*(?P<sign>[-+\u2212]?)(?P<whole>{whole})(?:[{decimal}](?P<part>\d*))?\s*{CURRENCY}"
    )


_patterns = {decimal: _pattern(decimal) for decimal in MARKS}


@dataclass(frozen=True)
class NumberStyle:
    """How numbers are written. Without a decimal mark it is a point, and `1.299` is rejected as ambiguous."""

    decimal: str = ""
    thousands: str = ""

    @property
    def mark(self) -> str:
        """The decimal mark that the flags decide for; empty if they do not."""
        return self.decimal or MARKS.get(self.thousands, "")


def reading(text: str, decimal: str) -> float | int | None:
    """The number that a text is with this decimal mark, or None. Thousands are groups of three.

    >>> reading("1.299", "."), reading("1.299", ","), reading("1 234,50 €", ","), reading("12.90", ",")
    (1.299, 1299, 1234.5, None)
    """
    match = _patterns[decimal].fullmatch(text.strip())
    if not match or not (match["whole"] or match["part"]):
        return None
    whole = re.sub(r"\D", "", match["whole"]) or "0"
    number = float(f"{whole}.{match['part']}") if match["part"] else int(whole)
    return -number if match["sign"] in ("-", "\u2212") else number


def to_number(value: Any, style: NumberStyle = NumberStyle()) -> Any:
    """A number of a cell; Parquet has numbers already.

    >>> to_number(" 2.50 "), to_number(Decimal("2.5")), to_number("12,90", NumberStyle(","))
    (2.5, 2.5, 12.9)
    """
    if isinstance(value, str):
        return _from_text(value.strip(), style)
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        raise RejectedRow(f"{value} is not a number")
    return float(value) if isinstance(value, Decimal) else value


def to_whole_number(value: Any, style: NumberStyle = NumberStyle()) -> Any:
    """A whole number of a cell, which may be written 3.0."""
    number = to_number(value, style)
    if isinstance(number, float) and isinstance(value, str) and number != int(number):
        raise RejectedRow(f"{value.strip()[:100]!r} is not a whole number")
    return number


def _from_text(text: str, style: NumberStyle) -> float | int:
    if text.isdecimal():
        return int(text)
    if style.mark != "," and PLAIN.fullmatch(text) and (style.mark or text[-4:-3] != "." or not is_ambiguous(text)):
        return float(text)
    number = reading(text, style.mark or ".")
    if number is None:
        raise RejectedRow(f"{text[:100]!r} is not a number{_remedy(text, style)}")
    if not style.mark and is_ambiguous(text):
        raise RejectedRow(f"{text!r} has two readings: {both_readings(text)}")
    return number


def _remedy(text: str, style: NumberStyle) -> str:
    other = MARKS[style.mark or "."]
    if reading(text, other) is None:
        return ""
    return f"; pass --decimal {other}" if not style.mark else f" with a decimal {_name(style.mark)}"


def _name(mark: str) -> str:
    return "comma" if mark == "," else "point"


def is_ambiguous(text: str) -> bool:
    """True if a text is one number with a decimal point and another with a decimal comma."""
    with_point, with_comma = reading(text, "."), reading(text, ",")
    return with_point is not None and with_comma is not None and with_point != with_comma


def both_readings(text: str) -> str:
    """
    >>> both_readings("1.299")
    '1.299 is 1,299 with --thousands . or 1.299 with --decimal .'
    """
    mark = "." if "." in text else ","
    return f"{text} is {reading(text, MARKS[mark]):,} with --thousands {mark} or {reading(text, mark)} with --decimal {mark}"


@dataclass
class NumberEvidence:
    """The numbers of a sample by their possible readings, as they are written, with their columns."""

    with_point: list[tuple[str, str]] = field(default_factory=list)
    with_comma: list[tuple[str, str]] = field(default_factory=list)
    ambiguous: list[tuple[str, str]] = field(default_factory=list)

    def add(self, texts: Iterable[str], column: str) -> None:
        for text in map(str.strip, texts):
            with_point, with_comma = reading(text, "."), reading(text, ",")
            if with_point is None and with_comma is None:
                continue
            if with_comma is None:
                self.with_point.append((text, column))
            elif with_point is None:
                self.with_comma.append((text, column))
            elif with_point != with_comma:
                self.ambiguous.append((text, column))

    def decimal(self) -> str | None:
        """The decimal mark of the sample: empty if it has no number with a mark, None if that is a question."""
        if len(self.with_point) > MANY_TIMES * len(self.with_comma):
            return "."  # single rows with a comma are damaged, and rejected
        return None if self.with_comma or self.ambiguous else ""

    def question(self) -> tuple[str, str]:
        """What to ask, and the flags that answer it.

        >>> evidence = NumberEvidence()
        >>> evidence.add(["12,90", "1.299"], "Preis")
        >>> evidence.question()
        ("Preis has numbers with a decimal comma: '12,90', '1.299'", 'Pass --decimal , (12,90 is 12.9, 1.299 is 1,299)')
        """
        shown = dict.fromkeys([*self.with_comma[:MAX_SHOWN], *self.ambiguous[:MAX_SHOWN], *self.with_point[:1]])
        listed = ", ".join(f"'{_on_a_line(text)}'" for text, _ in shown)
        column = next(iter(shown))[1]
        if not self.with_comma:
            return f"{column} has numbers with two readings: {listed}", both_readings(self.ambiguous[0][0])
        examples = [self.with_comma[0][0], *(text for text, _ in self.ambiguous[:1])]
        readings = ", ".join(f"{_on_a_line(text)} is {reading(text, ','):,}" for text in examples)
        if self.with_point:
            hint = f"Pass --decimal , ({readings}) or --decimal . and the rows with the other mark are rejected"
            return f"{column} has numbers with a decimal comma and with a decimal point: {listed}", hint
        return f"{column} has numbers with a decimal comma: {listed}", f"Pass --decimal , ({readings})"


def _on_a_line(text: str) -> str:
    return " ".join(text.split())
