"""Output of the commands: two consoles, JSON, and progress bars.

Colours and bars appear on terminals only; elsewhere the text is plain.
"""

from __future__ import annotations

import threading
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

BAR_AFTER_SECONDS = 2.0  # until a user starts to wonder
LINE_SECONDS = 10.0  # between lines of progress in a log
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def escaped(text: str) -> str:
    """Text that rich prints without interpreting markup."""
    return text.replace("[", r"\[")


def print_heading(name: str) -> None:
    """Prints the name of what the next lines are about, if it has one."""
    if name:
        out.print(f"[bold]{escaped(name)}[/]")


def print_json(value: Any) -> None:
    """Prints indented JSON to standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def ago(seconds: float) -> str:
    """A duration in words.

    >>> ago(0.4), ago(130), ago(3600 * 5), ago(86_400 * 30)
    ('0 s ago', '2 minutes ago', '5 hours ago', '30 days ago')
    """
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size:,.0f} {unit} ago"
    return f"{max(0.0, seconds):.0f} s ago"


def byte_size(number: float) -> str:
    """A number of bytes in a unit of its size.

    >>> byte_size(0), byte_size(65_432), byte_size(2_506_786), byte_size(1_234_567_890)
    ('0 B', '65 kB', '2.5 MB', '1.2 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return f"{number / factor:,.0f} {unit}" if number >= 10 * factor else f"{number / factor:,.1f} {unit}"
    return f"{number:.0f} B"


@contextmanager
def progress_bar(
    console: Console, title: str, total: int | None, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yields the function that advances the bar by a number of rows, or bytes. Without a total, no remaining time is shown."""
    count = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn())
    with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(title.replace("[", r"\["), total=total)
        yield lambda steps: progress.advance(task, steps)


@contextmanager
def no_bar(_title: str, _total: int) -> Iterator[Callable[[int], None]]:
    """In a service, where nobody watches."""
    yield lambda _steps: None


@contextmanager
def late_bar(console: Console, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """The same, but the bar appears only on a terminal, and only after BAR_AFTER_SECONDS."""
    started, done = time.monotonic(), 0
    step: Callable[[int], None] | None = None
    with ExitStack() as stack:

        def advance(steps: int) -> None:
            nonlocal done, step
            done += steps
            if step:
                step(steps)
            elif console.is_terminal and time.monotonic() - started > BAR_AFTER_SECONDS:
                step = stack.enter_context(progress_bar(console, title, total, unit))
                step(done)

        yield advance


@contextmanager
def late_lines(console: Console, title: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A late bar on a terminal; elsewhere a line every LINE_SECONDS, also while nothing advances."""
    if console.is_terminal:
        with late_bar(console, title, total, unit) as advance:
            yield advance
        return
    started, done, finished = time.monotonic(), 0, threading.Event()

    def report() -> None:
        while not finished.wait(LINE_SECONDS):
            count = f" {done:,} of {total:,} {unit}," if done else ""
            console.print(f"{title}:{count} {time.monotonic() - started:.0f} s", markup=False, soft_wrap=True)

    def count_steps(steps: int) -> None:
        nonlocal done
        done += steps

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield count_steps
    finally:
        finished.set()
        thread.join()
