"""`alsobought demo`: load a data set once, then serve it; the toy shop also streams simulated shoppers.

What is loaded and how far times were moved stands in demo.json, beside the warehouse.
"""

from __future__ import annotations

import shutil
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import msgspec
from rich.console import Console

from alsobought.console import progress_bar
from alsobought.demo import journey, toyshop
from alsobought.events import Rules, read_events, read_items
from alsobought.loading.submitter import Submitter
from alsobought.migrations.files import migrations
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.ledger import resume_offset
from alsobought.writer.submission import Submission, utc_now


class Played(msgspec.Struct):
    """What demo.json holds."""

    dataset: str
    weeks: int = 0
    complete: bool = False
    migrations: int = 0
    example_item: str = ""


def prepare(settings: Settings, dataset: str, console: Console) -> Played:
    """Loads the data set into the folder of the settings, unless it is there. A killed load goes on where it was.

    Raises Unusable, WarehouseFault, NotStored.
    """
    note = _note(settings)
    played = _read(note)
    tables = len(migrations(settings.home_folder / "migrations"))
    if played and played.migrations != tables:  # a view counts from the moment it exists
        console.print("There are other tables since the data set was loaded: it is loaded again.")
        shutil.rmtree(settings.data_folder)
        played = None
    if played and played.dataset == dataset and played.complete:
        return played
    started = time.monotonic()
    if not played:
        weeks = journey.weeks_until(utc_now().date()) if dataset == "journey" else 0
        example = journey.EXAMPLE_ITEM if dataset == "journey" else next(iter(toyshop.COMPANIONS))
        played = Played(dataset, weeks, migrations=tables, example_item=example)
    shop = open_service(settings)
    try:
        _write(note, played)
        rows = _load_journey(shop, played.weeks, console) if dataset == "journey" else _load_toyshop(shop, console)
    finally:
        shop.close()
    played.complete = True
    _write(note, played)
    console.print(f"Loaded {rows:,} events in {time.monotonic() - started:.0f} s; kept in {settings.data_folder}.")
    return played


def _load_journey(shop: Service, weeks: int, console: Console) -> int:
    with console.status("Reading the Complete Journey"):
        total = journey.size()
        items = list(journey.items())
    with progress_bar(console, "Loading the year", total) as told:
        shop.writer.submit(Submission(items)).result()
        submitter = Submitter(shop.writer, told)
        first = resume_offset(shop.warehouse, "journey")
        told(first)
        size = shop.settings.batch_rows
        for at in range(first, total, size):
            rows = journey.events(weeks, at, size)
            submitter.send(Submission(rows, "journey", range(at, at + len(rows))))
        submitter.finish()
    return total


def _load_toyshop(shop: Service, console: Console) -> int:
    until = utc_now()
    objects = list(toyshop.history(until))
    items, _ = read_items([msgspec.json.encode(item) for item in toyshop.items()], shop.settings.max_event_bytes)
    events, _ = read_events([msgspec.json.encode(event) for event in objects], Rules(until))
    with progress_bar(console, "Loading the toy shop", len(events)) as told:
        shop.writer.submit(Submission(items)).result()
        submitter = Submitter(shop.writer, told)
        for at in range(0, len(events), shop.settings.batch_rows):
            submitter.send(Submission(events[at : at + shop.settings.batch_rows], "toyshop"))
        submitter.finish()
    return len(events)


def _note(settings: Settings) -> Path:
    return settings.data_folder.with_name(f"{settings.data_folder.name}.json")


def _read(note: Path) -> Played | None:
    return msgspec.json.decode(note.read_bytes(), type=Played) if note.exists() else None


def _write(note: Path, played: Played) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    draft = note.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(played))
    draft.replace(note)


def announce(settings: Settings, console: Console) -> Callable[[str], None]:
    """What happens in the server once it answers: the addresses are printed, the toy shop comes to life."""
    played = _read(_note(settings))

    def ready(url: str) -> None:
        example = f"{url}/pipes/also_bought?item_id={quote(played.example_item if played else '')}&limit=3"
        console.print(
            f"\n  Open     [bold]{url}[/]\n  Try      curl '{example}'\n  Stop     Ctrl-C\n",
            highlight=False,
            soft_wrap=True,
        )
        if played and played.dataset == "toyshop":
            threading.Thread(target=_live, args=(url,), name="live", daemon=True).start()

    return ready


def _live(url: str) -> None:
    """EventSink simulated events as time passes, through the front door like any other client."""
    start = utc_now()
    for event in toyshop.live(start):
        due = datetime.fromisoformat(event["timestamp"])
        time.sleep(max(0.0, (due - utc_now()).total_seconds()))
        request = urllib.request.Request(f"{url}/events", msgspec.json.encode(event))  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=30):  # noqa: S310
                pass
        except OSError:
            time.sleep(1)  # the service is busy or going away; the next event is a new try
