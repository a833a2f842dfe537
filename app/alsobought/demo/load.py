"""Load a demo data set once. A state file beside the warehouse records the data set, its time shift and its migrations."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

from alsobought.console import progress_bar
from alsobought.demo import journey, toyshop
from alsobought.demo.datasets.contents import Contents
from alsobought.demo.datasets.registry import REGISTRY
from alsobought.events import Rules, read_events
from alsobought.items import read_items
from alsobought.loading.submitter import Submitter
from alsobought.migrations.files import migrations
from alsobought.service.maintenance import finish_serving_tables
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.ledger import resume_offset
from alsobought.writer.submission import Submission, utc_now


class DemoState(msgspec.Struct):
    """The content of the state file. `weeks` is the time shift, `migrations` the number of migrations at the load."""

    dataset: str
    weeks: int = 0
    complete: bool = False
    migrations: int = 0
    example_item: str = ""
    example_pipe: str = "also_bought"


def load_demo(settings: Settings, dataset: str, console: Console) -> DemoState:
    """Loads the data set into the data folder, unless it is loaded already. Resumes an interrupted load.

    Raises Unusable, WarehouseFault, NotStored.
    """
    state = read_state(settings)
    migration_count = len(migrations(settings.home_folder / "migrations"))
    if state and state.migrations != migration_count:  # a view counts only events stored after its creation
        console.print("The tables have changed since the data set was loaded: loading it again.")
        shutil.rmtree(settings.data_folder)
        state = None
    if state and state.dataset == dataset and state.complete:
        return state
    if dataset == "journey":
        journey.require_package()
    contents = REGISTRY[dataset].read() if dataset in REGISTRY else None
    started = time.monotonic()
    if not state:
        state = new_state(dataset, contents)
        state.migrations = migration_count
    service = open_service(settings)
    try:
        _write_state(settings, state)
        if contents:
            rows = _load_contents(service, dataset, contents.moved(state.weeks), console)
        elif dataset == "journey":
            rows = _load_journey(service, state.weeks, console)
        else:
            rows = _load_toyshop(service, console)
        finish_serving_tables(service.do, partial(progress_bar, console))
    except KeyboardInterrupt:
        console.print("Stopped: the same command goes on where this one was.")
        raise
    finally:
        service.close()
    state.complete = True
    _write_state(settings, state)
    console.print(f"Loaded {rows:,} events in {time.monotonic() - started:.0f} s; kept in {settings.data_folder}.")
    return state


def new_state(dataset: str, contents: Contents | None) -> DemoState:
    """With the time shift after which the newest event is of this week, and a request to try."""
    if contents:
        weeks = (utc_now() - contents.ends) // timedelta(weeks=1)
        counts = Counter(event.item_id for event in contents.events)
        views = any(event.event_type == "view" for event in contents.events)
        pipe = "viewed_also_viewed" if views else "also_bought"
        return DemoState(dataset, weeks, example_item=counts.most_common(1)[0][0], example_pipe=pipe)
    if dataset == "journey":
        return DemoState(dataset, journey.weeks_until(utc_now().date()), example_item=journey.EXAMPLE_ITEM)
    return DemoState(dataset, example_item=next(iter(toyshop.COMPANIONS)))


def _load_contents(service: Service, dataset: str, contents: Contents, console: Console) -> int:
    total, size = len(contents.events), service.settings.batch_rows
    with progress_bar(console, f"Loading {dataset}", total) as advance:
        service.writer.submit(Submission(contents.catalogue(contents.ends))).result()
        submitter = Submitter(service.writer, advance)
        first = resume_offset(service.warehouse, dataset)
        advance(first)
        for start in range(first, total, size):
            rows = list(contents.events[start : start + size])
            submitter.send(Submission(rows, dataset, range(start, start + len(rows))))
        submitter.finish()
    return total - first


def _load_journey(service: Service, weeks: int, console: Console) -> int:
    if not console.is_terminal:  # where no bar is shown
        console.print("Loading the year: about a minute …")
    with console.status("Reading the Complete Journey"):
        total = journey.size()
        items, users = list(journey.items()), list(journey.users())
    with progress_bar(console, "Loading the year", total) as advance:
        service.writer.submit(Submission(items)).result()
        service.writer.submit(Submission(users)).result()
        submitter = Submitter(service.writer, advance)
        first = resume_offset(service.warehouse, "journey")
        advance(first)
        size = service.settings.batch_rows
        for start in range(first, total, size):
            rows = journey.events(weeks, start, size)
            submitter.send(Submission(rows, "journey", range(start, start + len(rows))))
        submitter.finish()
    return total - first


def _load_toyshop(service: Service, console: Console) -> int:
    until = utc_now()
    objects = list(toyshop.history(until))
    items, _ = read_items([msgspec.json.encode(item) for item in toyshop.items()], service.settings.max_event_bytes)
    events, _ = read_events([msgspec.json.encode(event) for event in objects], Rules(until))
    with progress_bar(console, "Loading the toy shop", len(events)) as advance:
        service.writer.submit(Submission(items)).result()
        submitter = Submitter(service.writer, advance)
        for start in range(0, len(events), service.settings.batch_rows):
            submitter.send(Submission(events[start : start + service.settings.batch_rows], "toyshop"))
        submitter.finish()
    return len(events)


def read_state(settings: Settings) -> DemoState | None:
    path = _state_file(settings)
    return msgspec.json.decode(path.read_bytes(), type=DemoState) if path.exists() else None


def _state_file(settings: Settings) -> Path:
    return settings.data_folder.with_name(f"{settings.data_folder.name}.json")


def _write_state(settings: Settings, state: DemoState) -> None:
    path = _state_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(state))
    draft.replace(path)
