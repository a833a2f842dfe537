"""`alsobought forget`, `export` and `unmerge`, each in a process of its own, alone and beside a running
service.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.process import Run, assert_error, running, serving, write
from tests.support.web import VIEW


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Commands on a folder in which ada and bruno looked at tea."""
    run = running(tmp_path / "data")
    assert (
        run("load", "events", write(tmp_path / "e.ndjson", *({**VIEW, "user_id": u} for u in ("ada", "bruno")))).status
        == 0
    )
    return run


def test_a_user_is_exported_and_erased_and_the_receipt_verified(run: Run, tmp_path: Path) -> None:
    exported = json.loads(run("export", "ada").out)
    assert (exported["user_id"], len(exported["events"])) == ("ada", 1)
    dry = run("forget", "ada", "--dry-run")
    assert "1 rows of events" in dry.out
    assert "Nothing was changed." in dry.out
    ran = run("forget", "ada")
    assert "1 events and their part in every count are deleted." in ran.err
    receipt = tmp_path / "receipt.json"
    receipt.write_text(ran.out)
    assert json.loads(ran.out)["tables"][0] | {"checksum": ""} == {
        "table": "events",
        "rows_before": 1,
        "rows_after": 0,
        "checksum": "",
    }
    proved = run("forget", "--verify", receipt)
    assert (proved.status, proved.err) == (0, "")
    assert "nothing from before" in proved.out
    assert run("check").status == 0
    gone = run("export", "ada")
    assert (gone.status, gone.err.strip()) == (1, "Nothing is stored about 'ada'.")
    assert "There was nothing to delete." in run("forget", "ada").err
    receipt.write_text(ran.out.replace('"rows_before": 1', '"rows_before": 2'))
    changed = run("forget", "--verify", receipt)
    assert changed.status == 1
    assert "the receipt was altered" in changed.out


@pytest.mark.thorough
def test_beside_a_running_service_the_service_erases(run: Run) -> None:
    with serving(run) as service:
        assert json.loads(run("forget", "ada").out)["tables"][0]["rows_before"] == 1
        assert len(json.loads(run("export", "bruno").out)["events"]) == 1
        assert service.ask("/users/merge", {"guest_id": "bruno", "user_id": "cleo"})[1]["events"] == 1
        assert run("export", "bruno").status == 1
        assert_error(run("forget", "bruno"), "'bruno' was merged into 'cleo'", "Forget that account")
        undone = run("unmerge", "bruno")
        assert json.loads(undone.out) == {"guest_id": "bruno", "user_id": "cleo", "events": 1}
        assert undone.err.strip() == "1 event went from 'cleo' back to 'bruno'."
        assert len(json.loads(run("export", "bruno").out)["events"]) == 1
        assert run("check").status == 0


def test_every_error_is_one_sentence(run: Run, tmp_path: Path) -> None:
    assert_error(run("unmerge", "bruno"), "'bruno' is not merged into an account", "`alsobought export ACCOUNT` lists")
    assert_error(run("forget"), "there is no user to forget", "alsobought forget ada")
    assert_error(run("forget", "ada", "--verify", "x"), "there is no user to forget")
    assert_error(
        run("forget", "--verify", tmp_path / "none"), "none cannot be read", "Give the output of `alsobought forget`"
    )
    elsewhere = str(tmp_path / "elsewhere")
    assert_error(run("forget", "ada", ALSOBOUGHT_DATA=elsewhere), f"there is no warehouse in {elsewhere}")
    assert not Path(elsewhere).exists()
