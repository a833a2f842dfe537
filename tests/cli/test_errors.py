"""A command that fails prints one sentence on standard error, and its exit status is not 0."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import Run, assert_error, running, write
from tests.support.web import VIEW


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Commands on a folder of this test's own."""
    return running(tmp_path / "data")


def test_all_invalid_settings_are_reported_at_once(run: Run) -> None:
    wrong = {"PORT": "99999", "THREADS": "many", "NONSENSE": "1", "DATABASE": "a b", "DSN": "clickhouse"}
    ran = run("migrate", "status", **{f"ALSOBOUGHT_{name}": value for name, value in wrong.items()})
    shown = [f"ALSOBOUGHT_{name}=" for name in ("PORT", "THREADS", "DATABASE")]
    assert_error(ran, "ALSOBOUGHT_NONSENSE is not a setting", "ALSOBOUGHT_DSN is not of the form", *shown)
    assert_error(run("pipe", "check", ALSOBOUGHT_HOME="/nowhere"), "no migrations in /nowhere", "ALSOBOUGHT_HOME")


def test_unknown_cases_are_reported_with_the_existing_ones(run: Run) -> None:
    assert_error(
        run("pipe", "test", "nope", "trending"),
        "no cases of nope in ",
        "There are active_users, all_items, also_bought, ",
    )


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    events, name = write(tmp_path / "e.ndjson", VIEW), "a b#c%20d-é 100%"
    run = running(tmp_path / name)
    assert run("load", "events", events).status == 0
    assert "1 duplicates" in run("load", "events", events).out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["e.ndjson", name])


def test_a_folder_with_a_question_mark_is_one_sentence(tmp_path: Path) -> None:
    assert_error(running(tmp_path / "a?b")("migrate", "up"), "a?b has a ? in its name", "ALSOBOUGHT_DATA")
    assert list(tmp_path.iterdir()) == []


NEEDS_THE_FOLDER: list[tuple[str, ...]] = [
    ("migrate", "up"),
    ("migrate", "status"),
    ("load", "events", os.devnull),
    ("pipe", "run", "trending"),
    ("check",),
    ("serve",),
    ("demo", "--dataset", "toyshop"),
]


@pytest.mark.parametrize("words", NEEDS_THE_FOLDER, ids=" ".join)
def test_a_folder_that_is_a_file_is_one_sentence(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = write(tmp_path / "file", "text")
    assert_error(run(*words, ALSOBOUGHT_DATA=str(file)), str(file), "cannot be written", "ALSOBOUGHT_DATA")
    assert file.read_text() == "text\n"


@pytest.mark.parametrize("words", NEEDS_THE_FOLDER, ids=" ".join)
def test_a_folder_that_cannot_be_written_is_one_sentence(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    tmp_path.chmod(0o555)
    try:
        ran = run.unprivileged(*words, ALSOBOUGHT_DATA=str(tmp_path / "data"))
    finally:
        tmp_path.chmod(0o755)
    reads = words[0] in ("check", "pipe") or words[-1] == "status"
    assert_error(ran, str(tmp_path), "there is no warehouse" if reads else "cannot be written: Permission denied")


@pytest.mark.parametrize("words", [("check",), ("pipe", "run", "trending"), ("migrate", "status")], ids=" ".join)
def test_a_reading_command_without_a_warehouse_advises_how_to_create_it(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert_error(run(*words), f"there is no warehouse in {tmp_path / 'data'}", "alsobought migrate up")
    assert not (tmp_path / "data").exists()


def test_an_unreachable_server_is_one_sentence_without_its_password(run: Run) -> None:
    for words in (("migrate", "up"), ("serve",)):
        ran = run(*words, ALSOBOUGHT_DSN="http://user:hush@127.0.0.1:1")
        assert_error(ran, "cannot open the warehouse http://127.0.0.1:1: connection refused")
        assert "hush" not in ran.err


@pytest.fixture(params=["disk", pytest.param("refusal", marks=pytest.mark.thorough)])
def little_room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Commands on a folder that fills up: on a disk of 20 MB, and with the engine's refusal after three batches.

    The second is a simulation, for machines where nobody may mount; there, both are that.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    run = running(disk / "data", ALSOBOUGHT_BATCH_ROWS="700", ALSOBOUGHT_MIN_FREE_BYTES="2000000")
    mount = ["mount", "-t", "tmpfs", "-o", "size=28m", "none", str(disk)]
    if request.param == "refusal" or subprocess.run(mount, check=False, capture_output=True).returncode:
        yield run.rejecting_inserts(after=3)
        return
    try:
        yield run
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.journey
def test_a_full_disk_is_one_sentence_and_loading_again_stores_each_event_once(little_room: Run, tmp_path: Path) -> None:
    big = tmp_path / "big.ndjson"
    with big.open("w") as file:
        for number in range(4_000):
            text = os.urandom(3_000).hex()
            file.write(json.dumps(VIEW | {"item_id": f"i{number % 50}", "properties": {"text": text}}) + "\n")
    ran = little_room("load", "events", big)
    assert_error(ran, "the warehouse rejected a batch: ", "load the same again")
    assert "not enough space" in ran.err

    shutil.copytree(tmp_path / "disk" / "data", tmp_path / "moved", symlinks=True)
    roomy = running(tmp_path / "moved", ALSOBOUGHT_BATCH_ROWS="700")
    assert roomy("check").status == 0
    ran = roomy("load", "events", big)
    found = re.search(r": ([\d,]+) events stored, ([\d,]+) duplicates, 0 rejected$", ran.out, re.MULTILINE)
    assert found
    fresh, known = (int(number.replace(",", "")) for number in found.groups())
    assert fresh + known == 4_000
    assert fresh > 0
    assert known > 0
    assert roomy("check").status == 0
