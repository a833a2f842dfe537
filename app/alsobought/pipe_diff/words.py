"""The words and numbers of a replay's report, for the terminal and for a pull request alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from alsobought.pipe_diff.report import Item, Place, Report, Spread

LONGEST = 60  # characters of a value
ITEMS = 8  # that only one text shows
PLACES = 10  # of a list


def plain(text: str) -> str:
    """A value as one short line: requests hold whatever strangers typed.

    >>> plain("green\\x1b[31m\\ntea")
    'green�[31m�tea'
    """
    line = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def percent(share: float) -> str:
    """Never 0 % of something, and never 100 % of all but something.

    >>> percent(0.0), percent(0.001), percent(0.42), percent(0.999)
    ('0 %', '< 1 %', '42 %', '> 99 %')
    """
    if 0 < share < 0.01 or 0.99 < share < 1:
        return "< 1 %" if share < 0.5 else "> 99 %"
    return f"{share:.0%}".replace("%", " %")


def seconds(value: float) -> str:
    return f"{value * 1000:,.1f} ms"


def number(value: float) -> str:
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Of bytes.

    >>> size(900), size(2_506_786)
    ('900 B', '2.5 MB')
    """
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= of:
            return f"{value / of:,.1f} {unit}"
    return f"{value:.0f} B"


def request(parameters: dict[str, list[object]]) -> str:
    """`item_id=tea item_id=mug limit=3`"""
    words = [f"{name}={_value(value)}" for name, values in parameters.items() for value in values]
    return plain(" ".join(words)) or "no parameters"


def _value(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def place(one: Place | Item) -> str:
    return plain(one.title or one.item)


def moved(one: Place) -> str:
    """`new`, `gone`, or how many places up or down."""
    if one.moved[:1] in ("+", "-"):
        return ("↑" if one.moved[0] == "+" else "↓") + one.moved[1:]
    return one.moved


def headline(made: Report) -> str:
    return f"{made.old.label} → {made.new.label}"


def asked(made: Report) -> str:
    distinct = f"{made.requests:,} request{'s' * (made.requests != 1)}"
    often = f", asked {made.asked:,} times" if made.asked != made.requests else ""
    return f"{distinct}{often}, by the clock {made.clock:%Y-%m-%d %H:%M} UTC."


def notes(made: Report) -> list[str]:
    """What a reader of the numbers must know."""
    found = []
    if made.old.version and made.old.version == made.new.version:
        found.append("The text and the macros are the same on both sides.")
    for which, text in (("old", made.old), ("new", made.new)):
        for name, count in text.unknown.items():
            found.append(f"The {which} text has no parameter {name}: left out of {count:,} of its requests.")
        if text.failed.requests:
            found.append(f"The {which} text fails for {text.failed.requests:,}: {plain_error(text.failed.first)}")
        if text.fallback_fault:
            found.append(f"The {which} fallback is broken and never answers: {plain_error(text.fallback_fault)}")
    if made.unsteady:
        found.append(
            f"{made.unsteady:,} were asked again and again, and data was stored every time: their lists may differ."
        )
    for name, kind in made.columns.added.items():
        found.append(f"Column added: {name} {kind}.")
    for name, kind in made.columns.removed.items():
        found.append(f"Column removed: {name} {kind}.")
    for name, (was, now) in made.columns.retyped.items():
        found.append(f"Column {name}: {was} is now {now}.")
    return found


def plain_error(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)[:400]


def kinds(made: Report) -> list[tuple[str, float]]:
    """What the answers are, with their shares."""
    if not made.lists:
        return []
    alike = made.lists
    return [
        ("the same answer", alike.same),
        ("same list, other values", alike.values),
        ("same items, other order", alike.order),
        ("other items", alike.items),
    ]


Row = tuple[str, str, str, str]


def rows(made: Report) -> list[Row]:
    """Measure, old, new, change."""
    found: list[Row] = []
    if made.lists:
        found.append(("overlap, rank-biased", "", "", f"{made.lists.rank_biased:.3f}"))
        found.append(("overlap, Jaccard", "", "", f"{made.lists.jaccard:.3f}"))
        gone, new = len(made.only_old), len(made.only_new)
        found.append(("different items", number(made.old.items), number(made.new.items), f"-{gone} +{new}"))
        found.append(("empty answers", percent(made.old.empty), percent(made.new.empty), ""))
        found.append(("from a fallback", percent(made.old.fallback), percent(made.new.fallback), ""))
    found.append(("failed", number(made.old.failed.requests), number(made.new.failed.requests), ""))
    for what, spread, shown in (
        ("rows read", made.rows_read, number),
        ("bytes read", made.bytes_read, size),
        ("time (noisy)", made.seconds, seconds),
    ):
        found += _spread(what, spread, shown)
    return found


def _spread(what: str, spread: Spread | None, shown: Callable[[float], str]) -> list[Row]:
    if not spread:
        return []
    return [
        (f"{what}, median", shown(spread.median.old), shown(spread.median.new), spread.median.said),
        (f"{what}, p95", shown(spread.p95.old), shown(spread.p95.new), spread.p95.said),
    ]


def only(items: Sequence[Item]) -> str:
    """The first of them, and how many more."""
    more = f" and {len(items) - ITEMS:,} more" if len(items) > ITEMS else ""
    return ", ".join(f"{place(one)} ({one.times:,})" for one in items[:ITEMS]) + more
