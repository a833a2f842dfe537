"""A small shop in a folder of its own, and what its backups are asked for."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.process import CompletedRun, Run, running, write

EVENTS = 60


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A shop that is made once, to be copied."""
    return make_shop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def run(original: Run, tmp_path: Path) -> Run:
    """Commands on a copy of its own."""
    return copied_shop(original, tmp_path)


def copied_shop(original: Run, at: Path) -> Run:
    """The same shop in another folder."""
    at.mkdir(exist_ok=True)
    shutil.copytree(original.settings["ALSOBOUGHT_DATA"], at / "shop", symlinks=True)
    return running(at / "shop", ALSOBOUGHT_BACKUP_TO=str(at / "backups"), ALSOBOUGHT_RECORD_REQUESTS="false")


def make_shop(at: Path) -> Run:
    """60 events of 6 users, in 20 orders of three items, and three items of the catalogue."""
    run = running(at / "shop", ALSOBOUGHT_RECORD_REQUESTS="false")
    events = write(at / "events.ndjson", *(order_line(number) for number in range(EVENTS)))
    assert run("load", "events", events).status == 0
    items = [{"item_id": f"i{number}", "title": f"Item {number}", "category": "Kitchen"} for number in range(3)]
    assert run("load", "items", write(at / "items.ndjson", *items)).status == 0
    return run


def order_line(number: int) -> dict[str, str]:
    return {
        "event_id": f"n{number}",
        "event_type": "purchase",
        "user_id": f"u{number // 10}",
        "item_id": f"i{number % 7}",
        "order_id": f"o{number // 3}",
        "timestamp": f"2026-01-{1 + number % 28:02}T12:00:00Z",
    }


def backup_id(ran: CompletedRun) -> str:
    assert ran.status == 0, ran
    found = re.match(r"backup (\S+):", ran.out)
    assert found, ran.out
    return found[1]


def new_bytes(ran: CompletedRun) -> str:
    found = re.search(r"of them (.+?) new", ran.out)
    assert found, ran.out
    return found[1]


def events_of(ran: CompletedRun) -> int:
    """The number of events that a restore reports, which proved all counts."""
    assert ran.status == 0, ran
    assert "rows of the count tables equal a recompute" in ran.out
    found = re.search(r": ([\d,]+) events", ran.out)
    assert found, ran.out
    return int(found[1].replace(",", ""))
