"""kill -9 of a backup and of a restore at every step: older backups stay whole, and the next run cleans up."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.backup.damage import damage, part_of
from tests.backup.shop import EVENTS, backup_id, events_of, original, run
from tests.support.process import Run, assert_error, serving, write

# Failpoint, and the backups afterwards: the earlier one, the killed one, or both.
POINTS = [
    ("backup.pinning", 1),
    ("backup.pinned", 1),
    ("backup.file", 1),
    ("backup.file:30", 1),
    ("backup.copied", 1),
    ("backup.written", 1),
    ("backup.complete", 2),
    ("backup.expired", 1),
    ("backup.pruned", 1),
]
USUAL = ("backup.file:30",)
__all__ = ["original", "run"]  # fixtures
LATE = {"event_type": "purchase", "user_id": "late", "order_id": "late", "item_id": "i1"}


def _listed(run: Run) -> list[str]:
    return [entry["id"] for entry in json.loads(run("backup", "ls", "--json").out)]


def _assert_clean(run: Run) -> None:
    """No half copies, no pinned files, and no bytes that no backup names."""
    backups, data = Path(run.settings["ALSOBOUGHT_BACKUP_TO"]), Path(run.settings["ALSOBOUGHT_DATA"])
    assert not list((backups / "incoming").iterdir())
    assert not (data / "pinned").exists()
    named = set()
    for path in (backups / "backups").iterdir():
        named |= {digest for _, _, digest in json.loads(path.read_text())["backup"]["files"]}
    assert {path.name for path in (backups / "files").rglob("*") if path.is_file()} == named


@pytest.mark.parametrize(
    ("point", "left"), [pytest.param(*one, marks=() if one[0] in USUAL else pytest.mark.thorough) for one in POINTS]
)
def test_a_backup_killed_at_any_step_is_complete_or_absent_and_the_next_one_cleans_up(
    run: Run, tmp_path: Path, point: str, left: int
) -> None:
    first = backup_id(run("backup"))
    assert run("load", "events", write(tmp_path / "late.ndjson", LATE)).status == 0
    keep = "1" if point in ("backup.expired", "backup.pruned") else "5"
    assert run("backup", "take", "--keep", keep, ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
    ids = _listed(run)
    assert len(ids) == left
    assert (first in ids) == (keep == "5")
    assert run("verify").status == 0
    restored = run("restore", "--at", ids[0], "--into", tmp_path / "oldest")
    assert events_of(restored) == EVENTS + (first not in ids)
    backup_id(run("backup"))
    _assert_clean(run)
    assert events_of(run("restore", "--into", tmp_path / "newest")) == EVENTS + 1


def test_a_command_killed_beside_a_service_leaves_it_running_and_the_next_one_cleans_up(run: Run) -> None:
    with serving(run) as service:
        assert run("backup", ALSOBOUGHT_FAILPOINT="backup.pinned").status == -signal.SIGKILL
        assert service.ask("/events?wait=true", LATE)[0] == 200
        backup_id(run("backup"))
        _assert_clean(run)


def test_a_service_killed_while_it_pins_loses_nothing(run: Run, tmp_path: Path) -> None:
    failing = Run({**run.settings, "ALSOBOUGHT_FAILPOINT": "backup.pinning"}, folder=run.folder)
    with serving(failing) as service:
        assert service.ask("/events?wait=true", LATE)[0] == 200
        assert_error(run("backup"), "the process that holds the folder has ended")
    assert run("backup", "ls", "--json").out == "[]\n"
    backup_id(run("backup"))
    _assert_clean(run)
    assert events_of(run("restore", "--into", tmp_path / "restored")) == EVENTS + 1


@pytest.mark.parametrize("point", ["restore.file:40", pytest.param("restore.linked", marks=pytest.mark.thorough)])
def test_a_killed_restore_leaves_a_folder_that_nothing_opens_and_the_next_run_starts_over(
    run: Run, tmp_path: Path, point: str
) -> None:
    backup_id(run("backup"))
    into = tmp_path / "restored"
    assert run("restore", "--into", into, ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
    assert_error(run("check", ALSOBOUGHT_DATA=str(into)), "was not restored completely")
    assert events_of(run("restore", "--into", into)) == EVENTS


@pytest.mark.parametrize("point", ["repair.attached", pytest.param("repair.fetched", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    ("file", "how"), [("data.bin", "flip"), pytest.param("columns.txt", "flip", marks=pytest.mark.thorough)]
)
def test_a_killed_repair_is_finished_by_the_next_one_and_no_event_is_there_twice(
    run: Run, point: str, file: str, how: str
) -> None:
    """Whether the damaged part was loaded, or set aside."""
    backup_id(run("backup"))
    damage(part_of(run, "events") / file, how)
    assert run("repair", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
    repaired = run("repair")
    assert repaired.status == 0, repaired
    assert f"{EVENTS} rows put back" in repaired.out
    assert "rows of the count tables equal a recompute" in repaired.out
    backup_id(run("backup"))
    assert json.loads(run("backup", "ls", "--json").out)[-1]["facts"]["events"] == EVENTS
