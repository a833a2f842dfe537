"""What commands print: two consoles, and a bar for everything that takes longer than two seconds.

Colours and movement are for terminals; elsewhere the text is plain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

BAR_AFTER = 2.0  # seconds, until somebody wonders
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def escaped(text: str) -> str:
    """Text that rich prints as it is."""
    return text.replace("[", r"\[")


def print_json(value: Any) -> None:
    """On standard output, for programs and for people."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def ago(seconds: float) -> str:
    """How long ago that is.

    >>> ago(0.4), ago(130), ago(3600 * 5), ago(86_400 * 30)
    ('0 s ago', '2 minutes ago', '5 hours ago', '30 days ago')
    """
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:,.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


@contextmanager
def progress_bar(
    console: Console, title: str, total: int | None, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yields the function that is told how many more rows, or bytes, are done. Without a total no end is foretold."""
    done = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(title.replace("[", r"\["), total=total)
        yield lambda done: progress.advance(task, done)


@contextmanager
def late_bar(console: Console, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """The same, but the bar comes only on a terminal, and once it has taken so long that somebody wonders."""
    started, done = time.monotonic(), 0
    step: Callable[[int], None] | None = None
    with ExitStack() as stack:

        def told(more: int) -> None:
            nonlocal done, step
            done += more
            if step:
                step(more)
            elif console.is_terminal and time.monotonic() - started > BAR_AFTER:
                step = stack.enter_context(progress_bar(console, title, total, unit))
                step(done)

        yield told
