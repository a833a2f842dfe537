"""Backups of a shop, alone and beside a running service, and what is restored from them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.backup.shop import EVENTS, backup_id, events_of, new_bytes, order_line
from tests.support.process import Run, ServedProcess, assert_error, serving

NEW = {"event_type": "purchase", "user_id": "late", "order_id": "late", "item_id": "i1"}


def _files(run: Run) -> list[Path]:
    return [path for path in (Path(run.settings["ALSOBOUGHT_BACKUP_TO"]) / "files").rglob("*") if path.is_file()]


def test_a_backup_is_restored_with_its_events_its_counts_and_the_posts_that_waited(run: Run, tmp_path: Path) -> None:
    """And the next backup copies little: parts of tables do not change."""
    with serving(run) as service:
        first = run("backup")
        assert "the writer paused for" in first.out
        assert "up to the event stored at" in first.out
        assert service.ask("/events?wait=true", NEW)[0] == 200
        second = run("backup")
        assert run("backup", "take", "--json").status == 0
    assert not (tmp_path / "shop" / "pinned").exists()
    listed = json.loads(run("backup", "ls", "--json").out)
    assert [entry["id"] for entry in listed][:2] == [backup_id(first), backup_id(second)]
    assert [entry["facts"]["events"] for entry in listed] == [EVENTS, EVENTS + 1, EVENTS + 1]
    assert listed[1]["new_bytes"] < listed[0]["new_bytes"]
    assert listed[2]["new_bytes"] < listed[1]["new_bytes"]
    assert run("verify").status == 0
    assert events_of(run("restore", "--into", tmp_path / "newest")) == EVENTS + 1
    older = run("restore", "--at", backup_id(first), "--into", tmp_path / "older")
    assert events_of(older) == EVENTS
    assert f"ALSOBOUGHT_DATA={tmp_path / 'older'}" in older.out
    with serving(replace(run, settings={**run.settings, "ALSOBOUGHT_DATA": str(tmp_path / "older")})) as restored:
        assert restored.ask("/events?wait=true", [order_line(0), NEW])[1]["duplicates"] == 1
        assert restored.ask("/pipes/also_bought?item_id=i1")[1]["data"]


@pytest.mark.journey
def test_a_backup_under_load_has_every_event_with_its_counts(run: Run, tmp_path: Path) -> None:
    stopped = threading.Event()
    with serving(run) as service:

        def post() -> None:
            number = 0
            while not stopped.is_set():
                number += 1
                service.ask("/events", [{**NEW, "order_id": f"x{number}", "item_id": f"i{item}"} for item in range(4)])

        thread = threading.Thread(target=post)
        thread.start()
        try:
            ids = [backup_id(run("backup")) for _ in range(3)]
        finally:
            stopped.set()
            thread.join()
    restored = [events_of(run("restore", "--at", one, "--into", tmp_path / one)) for one in ids[1:]]
    assert EVENTS < restored[0] < restored[1]


@pytest.mark.journey
def test_retention_deletes_the_oldest_backups_and_their_bytes(run: Run, tmp_path: Path) -> None:
    backup_id(run("backup"))
    before = {path.name for path in _files(run)}
    assert run("rebuild", "co_baskets").status == 0
    second = backup_id(run("backup", "take", "--keep", "1"))
    assert [entry["id"] for entry in json.loads(run("backup", "ls", "--json").out)] == [second]
    after = {path.name for path in _files(run)}
    assert before - after, "the old table is in no backup"
    assert run("verify").status == 0
    assert events_of(run("restore", "--into", tmp_path / "restored")) == EVENTS


def test_who_was_forgotten_after_a_backup_is_forgotten_again_by_a_restore(run: Run, tmp_path: Path) -> None:
    """And the receipt names the backups that hold the user meanwhile."""
    kept = backup_id(run("backup"))
    forgot = run("forget", "u2")
    receipt = json.loads(forgot.out)
    assert receipt["backups"] == {
        "to": run.settings["ALSOBOUGHT_BACKUP_TO"],
        "backups": [kept],
        "until": "until 7 newer backups exist",
    }
    assert f"1 backups in {run.settings['ALSOBOUGHT_BACKUP_TO']} hold the user" in forgot.err.replace("\n", " ")
    (tmp_path / "receipt.json").write_text(forgot.out)
    notes = list((tmp_path / "backups" / "erasures").iterdir())
    assert [note.name.partition("-")[0] for note in notes] == [receipt["user_key"]]
    assert "u2" not in notes[0].read_text()
    restored = run("restore", "--into", tmp_path / "restored")
    assert events_of(restored) == EVENTS - 10
    assert "1 users who were forgotten after the backup are erased again" in restored.out
    there = {"ALSOBOUGHT_DATA": str(tmp_path / "restored")}
    assert run("forget", "--verify", tmp_path / "receipt.json", **there).status == 0
    assert run("export", "u2", **there).out.count("n2") == 0


@pytest.mark.journey
def test_verify_names_damaged_bytes_and_the_next_backup_copies_them_again(run: Run, tmp_path: Path) -> None:
    first = backup_id(run("backup"))
    largest = max(_files(run), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert_error(run("restore", "--into", tmp_path / "restored"), "is damaged in the backup", "alsobought verify")
    opened = run("check", ALSOBOUGHT_DATA=str(tmp_path / "restored"))
    assert_error(opened, "was not restored completely", "Run `alsobought restore` into it again")
    verified = run("verify")
    assert verified.status == 1
    assert f"of backup {first}" in verified.out
    assert f"broken {first}" in verified.out
    assert new_bytes(run("backup")) != "0 B"
    assert run("verify").status == 0, "the bytes are shared, so the first backup is whole again too"
    assert events_of(run("restore", "--at", first, "--into", tmp_path / "restored")) == EVENTS
    missing = min(_files(run), key=lambda path: path.stat().st_size)
    missing.unlink()
    assert "missing" in run("verify").out


def test_faults_are_named(run: Run, tmp_path: Path) -> None:
    assert_error(run("restore", "--into", tmp_path / "new"), "there are no backups in", "alsobought backup")
    assert_error(run("backup", ALSOBOUGHT_BACKUP_TO=""), "no place for backups is named", "ALSOBOUGHT_BACKUP_TO")
    assert_error(run("backup", tmp_path / "shop" / "below"), "is in the data folder itself", "on another disk")
    assert_error(run("backup", ALSOBOUGHT_DATA=str(tmp_path / "none")), "there is no warehouse in")
    backup_id(run("backup"))
    assert_error(run("restore", "--into", tmp_path / "shop"), "is not empty", "--into")
    assert_error(run("restore", "--at", "2026", "--into", tmp_path / "new"), "no backup '2026'", "backup ls")
    assert run("backup", "ls", tmp_path).status == 1
    (tmp_path / "backups" / "warehouse").write_text("another")
    assert_error(run("backup"), "has the backups of another warehouse")


@pytest.mark.journey
def test_a_drill_restores_into_a_temporary_folder_and_checks(run: Run) -> None:
    backup_id(run("backup"))
    drill = run("verify", "--full")
    assert events_of(drill) == EVENTS


@pytest.mark.journey
def test_a_service_takes_backups_by_itself(run: Run) -> None:
    run = replace(run, settings={**run.settings, "ALSOBOUGHT_BACKUP_HOURS": "1"})
    with serving(run) as service:
        deadline = time.monotonic() + 60
        while not (listed := json.loads(run("backup", "ls", "--json").out if _has_backups(run) else "[]")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert listed[0]["facts"]["events"] == EVENTS
        while "alsobought_backup_time_seconds" not in (text := _metrics(service)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert "alsobought_backup_failed 0.0" in text


@pytest.mark.journey
def test_a_service_that_cannot_back_up_raises_an_alarm(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    to = {"ALSOBOUGHT_BACKUP_TO": str(tmp_path / "file" / "below"), "ALSOBOUGHT_BACKUP_HOURS": "1"}
    with serving(replace(run, settings={**run.settings, **to})) as service:
        deadline = time.monotonic() + 60
        while "alsobought_backup_failed 1.0" not in (text := _metrics(service)):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert "alsobought_alarms 1.0" in text
        assert service.ask("/readyz")[0] == 200


def _has_backups(run: Run) -> bool:
    return (Path(run.settings["ALSOBOUGHT_BACKUP_TO"]) / "backups").is_dir()


def _metrics(service: ServedProcess) -> str:
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as page:
        text: str = page.read().decode()
        return text
