"""The data folder and all in it are for their owner only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.storage.folder_lock import claim, make_private, release


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_new_folder_is_private_with_all_files_made_later(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    claim(folder, create=True)
    (folder / "later").write_text("")
    (folder / "part").mkdir()
    release(folder)
    assert [mode(path) for path in (folder, folder / ".holder", folder / "later", folder / "part")] == [
        "0o700",
        "0o600",
        "0o600",
        "0o700",
    ]


@pytest.mark.parametrize(
    ("before", "holds", "after"),
    [
        (0o755, "metadata", "0o700"),
        (0o770, "metadata", "0o700"),
        (0o2750, "metadata", "0o2700"),
        (0o755, "", "0o700"),
        (0o755, "other", "0o755"),  # not a folder of ours: it may be one's home
        (0o1777, "metadata", "0o1777"),  # such as /tmp
        (0o500, "metadata", "0o500"),
    ],
)
def test_an_existing_folder_is_tightened_if_it_is_ours(tmp_path: Path, before: int, holds: str, after: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    if holds:
        (folder / holds).mkdir()
    folder.chmod(before)
    make_private(folder)
    assert mode(folder) == after


def test_a_folder_of_somebody_else_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "metadata").mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    make_private(tmp_path / "data")
    assert mode(tmp_path / "data") == "0o755"


def test_who_only_reads_a_folder_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "data" / "metadata").mkdir(parents=True)
    claim(tmp_path / "data", create=False)
    release(tmp_path / "data")
    assert mode(tmp_path / "data") == "0o755"
