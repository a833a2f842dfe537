"""`alsobought top`: what a running service does, live."""

from __future__ import annotations

import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live

from alsobought.console import out, print_json
from alsobought.errors import AlsoboughtError
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.diagnostics.metrics_page import MetricsPage
    from alsobought.diagnostics.overview import Overview, SlowRequest
    from alsobought.storage.warehouse import Warehouse

WINDOW_SECONDS = 60.0
ONCE_SECONDS = 1.0  # between the two readings of --once
STEP_SECONDS = 0.2  # until a key or a resize is noticed
PLAIN_WIDTH, PLAIN_HEIGHT = 160, 200  # where the output is no terminal
SLOWEST = """
    select toString(time), pipe, round(seconds, 3), rows_read, status, request_id
    from {database}.requests
    where time > now64(3, 'UTC') - interval 5 minute
    order by seconds desc, time, request_id
    limit 12
"""


@click.command()
@click.option("--url", default="", help="Address of the service; default: the one of these settings.")
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with a key that has the scope metrics.",
)
@click.option(
    "--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between two readings."
)
@click.option("--once", is_flag=True, help="Print one reading and exit; the same where the output is no terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print one reading as JSON.")
@click.pass_obj
def top(settings: Settings, url: str, key_file: Path | None, interval: float, once: bool, as_json: bool) -> None:
    """Show live what a running service does: requests, pipes, lanes, events, memory, disk, upkeep.

    Rates and times are those of the last minute; of a pipe that nobody asked in it, those since the start of the service.
    A lane is shown as running + waiting / threads. The slowest requests are shown on the machine of the service. Leave it
    with q or Ctrl-C. Exit status 1 if no service answers.

    \b
    Example: alsobought top
             alsobought top --url http://10.0.0.7:8080 --key-file metrics.key
    """
    from alsobought.diagnostics.overview import overview

    read = _reader(settings, url, key_file)
    with _slow_requests(settings, url) as slowest:
        if once or as_json or not (out.is_terminal and sys.stdin.isatty()):
            first = read()
            time.sleep(min(interval, ONCE_SECONDS))
            seen = msgspec.structs.replace(overview(first, read(), time.time()), slowest=slowest())
            if as_json:
                print_json(seen)
            else:
                _print(seen, url or _own_url(settings))
            return
        with suppress(KeyboardInterrupt):
            _run(read, slowest, url or _own_url(settings), interval)


def _own_url(settings: Settings) -> str:
    from alsobought.web.server import url

    return url(settings)


def _reader(settings: Settings, url: str, key_file: Path | None) -> Callable[[], MetricsPage]:
    """A function that asks for the page. The admin key of the settings goes to the service of these settings only."""
    from alsobought.diagnostics.http_get import get
    from alsobought.diagnostics.metrics_page import read_page

    key = key_file.read_text().strip() if key_file else "" if url else settings.admin_key
    address = url or _own_url(settings)
    return lambda: read_page(get(address, "/metrics", key), time.monotonic())


@contextmanager
def _slow_requests(settings: Settings, url: str) -> Iterator[Callable[[], list[SlowRequest] | None]]:
    """A function that reads the slowest requests of the table `requests`; None where that is elsewhere, or not recorded."""
    warehouse = None if url else _shared_warehouse(settings)

    def read() -> list[SlowRequest] | None:
        from alsobought.diagnostics.overview import SlowRequest

        if warehouse is None:
            return None
        try:
            rows = warehouse.trusted_rows(SLOWEST.format(database=warehouse.database)).data
        except AlsoboughtError:
            return None
        return [SlowRequest(*row) for row in rows]

    try:
        yield read
    finally:
        if warehouse:
            warehouse.close()


def _shared_warehouse(settings: Settings) -> Warehouse | None:
    """The warehouse of a running service; None if opening it would take it from the next one that starts."""
    from alsobought.service.ipc_client import is_reachable, reach_warehouse
    from alsobought.storage.folder_lock import folder_of

    with suppress(AlsoboughtError):
        if folder_of(settings.warehouse_dsn) is None or is_reachable(settings):
            return reach_warehouse(settings, create=False)
    return None


def _print(seen: Overview, url: str) -> None:
    from alsobought.diagnostics.screen import lines

    console = out if out.is_terminal else Console(width=PLAIN_WIDTH, highlight=False, color_system=None)
    height = PLAIN_HEIGHT
    for line in lines(seen, url, "", console.width, height)[:-1]:
        console.print(line, no_wrap=True, overflow="ellipsis")


def _run(
    read: Callable[[], MetricsPage], slowest: Callable[[], list[SlowRequest] | None], url: str, interval: float
) -> None:
    """Until q. The first reading raises where no service answers; later ones leave the last screen with a note."""
    from alsobought.diagnostics.overview import overview, window
    from alsobought.diagnostics.screen import lines

    pages = deque([read()], maxlen=int(WINDOW_SECONDS / interval) + 2)
    seen = msgspec.structs.replace(overview(pages[0], pages[0], time.time()), slowest=slowest())
    note = hint = "q leaves"

    def screen() -> Group:
        return Group(*lines(seen, url, note, *out.size))

    with _keys() as pressed, Live(screen(), console=out, screen=True, auto_refresh=False) as live:
        due, size = time.monotonic() + min(interval, ONCE_SECONDS), out.size
        while not pressed(STEP_SECONDS):
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                try:
                    pages.append(read())
                except AlsoboughtError as error:
                    note = f"{hint}   {error}"
                else:
                    old = window(pages, WINDOW_SECONDS)
                    seen = msgspec.structs.replace(overview(old, pages[-1], time.time()), slowest=slowest())
                    note = f"{hint}   the last {seen.window_seconds:.0f} s, every {interval:g} s"
            elif out.size == size:
                continue
            size = out.size
            live.update(screen(), refresh=True)


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """A function that waits so many seconds for q: keys come without Enter, and are not shown."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)

    def pressed(seconds: float) -> bool:
        ready, _, _ = select.select([number], [], [], seconds)
        return bool(ready) and os.read(number, 1) in (b"q", b"Q", b"")

    try:
        yield pressed
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
