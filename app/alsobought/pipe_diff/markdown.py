"""Render a report as Markdown, for a comment on a pull request.

Items, titles and search words are untrusted input: they are in code spans, where they are not markup or mentions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from alsobought.pipe_diff import report_text
from alsobought.pipe_diff.report import Example, Item, RankedItem, Report


def to_markdown(report: Report) -> str:
    return "\n".join(_lines(report)) + "\n"


def code(text: str) -> str:
    """A code span that the text cannot end, also in a table.

    >>> code("tea | `x`")
    "`tea \\\\| 'x'`"
    """
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`" if text else ""


def _lines(report: Report) -> Iterator[str]:
    mark = "❌" if report.missed else "✅"
    yield f"### {mark} {code(report.pipe)}: {code(report.old.label)} → {code(report.new.label)}"
    yield ""
    yield report_text.request_counts(report)
    if report.missed:
        yield ""
        yield from (f"* **fails**: {code(report_text.plain_error(missed))}" for missed in report.missed)
    notes = report_text.notes(report)
    if notes:
        yield ""
        yield from (f"* {code(note)}" for note in notes)
    if report.lists:
        yield from ("", "| answers | share |", "|---|--:|")
        yield from (f"| {name} | {report_text.percent(share)} |" for name, share in report_text.change_shares(report))
    yield from ("", "| | old | new | change |", "|---|--:|--:|--:|")
    yield from (f"| {' | '.join(row)} |" for row in report_text.measure_rows(report))
    yield from _estimate(report)
    yield from _exclusive("Only in the old text", report.only_old)
    yield from _exclusive("Only in the new text", report.only_new)
    if report.examples:
        yield from ("", "<details><summary>Largest changes</summary>")
        for example in report.examples:
            yield from _example(example)
        yield from ("", "</details>")


def _estimate(report: Report) -> Iterator[str]:
    yield ""
    if rows := report_text.estimate_rows(report):
        yield from (f"{report_text.estimate_title(report)}:", "", "| | old | new |", "|---|--:|--:|")
        yield from (f"| {' | '.join(cell.strip() for cell in row)} |" for row in rows)
        yield ""
    yield " ".join(report_text.estimate_notes(report))


def _exclusive(title: str, items: Sequence[Item]) -> Iterator[str]:
    if items:
        yield from ("", f"{title}: {report_text.exclusive_items(items, code)}")


def _example(example: Example) -> Iterator[str]:
    times = f", made {example.times:,} times" if example.times > 1 else ""
    key = f", the list of {code(report_text.plain(example.key))}" if example.key else ""
    request = code(report_text.request(example.parameters))
    yield from ("", f"{request}{key}: overlap {example.rank_biased:.2f}{times}", "")
    yield from ("| | old | | new | |", "|--:|---|---|---|---|")
    ranks = list(zip_longest(example.old, example.new))
    for rank, (old, new) in enumerate(ranks[: report_text.MAX_RANKS], start=1):
        yield f"| {rank} | {_cell(old)} | {_cell(new)} |"
    if len(ranks) > report_text.MAX_RANKS:
        yield f"| … | {len(example.old):,} in total | | {len(example.new):,} in total | |"


def _cell(item: RankedItem | None) -> str:
    return f"{code(report_text.item_name(item))} | {report_text.move(item)}" if item else " | "
