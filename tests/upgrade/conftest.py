"""A warehouse of version 0.1, unpacked, and commands of today's code on it."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Run, running
from tests.support.project import project_folder

HERE = Path(__file__).parent
YOUNGER = (
    "user_days",
    "daily_voices",
    "hourly_voices",
)  # count tables that are younger than 0.1, or have a younger column
LAST_OF_0_1 = 52  # the newest migration of version 0.1


@dataclass(frozen=True)
class Old:
    """`run` has today's project folder, `home`; `texts` is one with the pipes and macros of 0.1 and
    today's migrations.
    """

    run: Run
    home: Path
    texts: Path
    folder: Path
    facts: dict[str, Any]

    @property
    def pending(self) -> list[Path]:
        return sorted((self.home / "migrations").glob("*.sql"))[LAST_OF_0_1:]


@pytest.fixture
def old(tmp_path: Path) -> Old:
    with tarfile.open(HERE / "warehouse-0.1.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    home = project_folder(tmp_path / "today")
    texts = tmp_path / "home"
    shutil.copytree(home / "migrations", texts / "migrations")
    run = running(tmp_path / "data", ALSOBOUGHT_CHECK_SECONDS="0").at(home)
    facts = json.loads((HERE / "answers-0.1.json").read_text())
    return Old(run, home, texts, tmp_path, facts)


@pytest.fixture
def old_with_new_table(old: Old) -> Old:
    """The same with one more migration than there are today: a count table and its view."""
    drafted = old.run("migrate", "new", "item_days", "--view")
    assert drafted.status == 0, drafted.err
    for line in drafted.out.splitlines():
        path = Path(line)
        path.write_text(path.read_text().replace("-- …", "-- Events of items by day."))
    return old


def events_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
