"""A replay's report as Markdown, for a comment on a pull request.

Items, titles and search words are what strangers typed: they stand in code spans, where they are no markup and call nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from alsobought.pipe_diff import words
from alsobought.pipe_diff.report import Example, Item, Place, Report


def markdown(made: Report) -> str:
    return "\n".join(_lines(made)) + "\n"


def code(text: str) -> str:
    """Text as a code span that ends where it should, also in a table.

    >>> code("tea | `x`")
    "`tea \\\\| 'x'`"
    """
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`" if text else ""


def _lines(made: Report) -> Iterator[str]:
    yield f"### {'❌' if made.missed else '✅'} {code(made.pipe)}: {code(made.old.label)} → {code(made.new.label)}"
    yield ""
    yield words.asked(made)
    if made.missed:
        yield ""
        yield from (f"* **fails**: {code(words.plain_error(one))}" for one in made.missed)
    notes = words.notes(made)
    if notes:
        yield ""
        yield from (f"* {code(note)}" for note in notes)
    if made.lists:
        yield from ("", "| answers | share |", "|---|--:|")
        yield from (f"| {what} | {words.percent(share)} |" for what, share in words.kinds(made))
    yield from ("", "| | old | new | change |", "|---|--:|--:|--:|")
    yield from (f"| {' | '.join(row)} |" for row in words.rows(made))
    yield from _only("No longer shown", made.only_old)
    yield from _only("Shown only now", made.only_new)
    if made.examples:
        yield from ("", "<details><summary>What changed most</summary>")
        for one in made.examples:
            yield from _example(one)
        yield from ("", "</details>")


def _only(title: str, items: Sequence[Item]) -> Iterator[str]:
    if items:
        more = f" and {len(items) - words.ITEMS:,} more" if len(items) > words.ITEMS else ""
        named = ", ".join(f"{code(words.place(one))} ({one.times:,})" for one in items[: words.ITEMS])
        yield from ("", f"{title}: {named}{more}")


def _example(one: Example) -> Iterator[str]:
    asked = f", asked {one.times:,} times" if one.times > 1 else ""
    of = f", the list of {code(words.plain(one.key))}" if one.key else ""
    yield from ("", f"{code(words.request(one.parameters))}{of}: overlap {one.rank_biased:.2f}{asked}", "")
    yield from ("| | old | | new | |", "|--:|---|---|---|---|")
    both = list(zip_longest(one.old, one.new))
    for at, (old, new) in enumerate(both[: words.PLACES], start=1):
        yield f"| {at} | {_cell(old)} | {_cell(new)} |"
    if len(both) > words.PLACES:
        yield f"| … | {len(one.old):,} in all | | {len(one.new):,} in all | |"


def _cell(one: Place | None) -> str:
    return f"{code(words.place(one))} | {words.moved(one)}" if one else " | "
