"""Damaged parts: noticed by a search, by the service and by `doctor`, and mended."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from tests.backup.damage import damage, part_of
from tests.backup.shop import EVENTS, backup_id, order_line
from tests.support.process import Run, serving, write

FILES = [
    *(("data.bin", how) for how in ("flip", "cut", "delete")),
    *((name, how) for name in ("data.cmrk4", "primary.cidx", "columns.txt") for how in ("flip", "delete")),
    ("checksums.txt", "flip"),  # deleted, it is made again from the other files
    ("count.txt", "delete"),
]
USUAL = [("events", "data.bin", "flip"), ("co_baskets", "data.bin", "flip")]


def _cases(*tables: str) -> list[object]:
    cases = [(table, *file) for table in tables for file in FILES]
    return [pytest.param(*case, marks=() if case in USUAL else pytest.mark.thorough) for case in cases]


@pytest.mark.journey
@pytest.mark.parametrize(("table", "file", "how"), _cases("events", "co_baskets"))
def test_a_damaged_part_is_found_and_mended(run: Run, table: str, file: str, how: str) -> None:
    kept = backup_id(run("backup"))
    part = part_of(run, table)
    damage(part / file, how)
    found = run("repair", "--dry-run")
    assert found.status == 1
    assert f"broken part {part.name} of {table}: " in found.out
    repaired = run("repair")
    assert repaired.status == 0, repaired
    expected = f"rows put back from backup {kept}" if table == "events" else f"rebuilt from {EVENTS} events"
    assert expected in repaired.out
    assert "rows of the count tables equal a recompute" in repaired.out
    assert run("repair").out == "ok all parts are as they were written\n"


@pytest.mark.journey
def test_doctor_names_a_damaged_part_and_its_remedy(run: Run) -> None:
    run = replace(run, timeout=180.0)
    part = part_of(run, "co_baskets")
    assert "parts      all are as they were written" in run("doctor").out
    damage(part / "data.bin", "flip")
    doctor = run("doctor")
    assert doctor.status == 1
    fault = f"part {part.name} of co_baskets: checksum mismatch for file data.bin"
    assert f"{fault}. `alsobought rebuild co_baskets` makes it again from the events" in doctor.out


@pytest.mark.journey
def test_a_part_that_was_merged_since_the_backup_is_put_together_from_those_it_was_merged_from(
    run: Run, tmp_path: Path
) -> None:
    for number in range(EVENTS, EVENTS + 3):
        assert run("load", "events", write(tmp_path / f"{number}.ndjson", order_line(number))).status == 0
    backup_id(run("backup"))
    run.python(MERGE)
    part = part_of(run, "events")
    assert part.name.startswith("all_1_")
    assert int(part.name.split("_")[2]) > 1
    damage(part / "data.bin", "flip")
    repaired = run("repair")
    assert repaired.status == 0, repaired
    assert f"{EVENTS + 3} rows put back" in repaired.out


MERGE = """
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(from_environment())
warehouse.command("optimize table alsobought.events final")
path = warehouse.trusted_rows("select path from system.parts where table = 'events' and not active").data
import shutil
warehouse.close()
for (old,) in path:
    shutil.rmtree(old, ignore_errors=True)
"""


@pytest.mark.thorough
@pytest.mark.journey
def test_events_without_a_backup_are_left_and_nothing_is_lost_by_trying(run: Run) -> None:
    damage(part_of(run, "events") / "data.bin", "flip")
    ran = run("repair")
    assert ran.status == 1
    assert "of events: there are no backups in" in ran.out
    backup_id(run("backup"))  # of a shop whose events are damaged
    assert run("repair").status == 1


@pytest.mark.journey
def test_a_running_service_names_damaged_parts_and_answers_what_it_can(run: Run) -> None:
    part = part_of(run, "daily_voices")
    damage(part / "data.bin", "flip")
    with serving(run) as service:
        status, body = service.ask("/pipes/popular?days=365")
        assert status == 503
        assert body["error"]["code"] == "warehouse_fault"
        assert "daily_voices" not in json.dumps(body)
        assert service.ask("/healthz")[0] == 200
        assert service.ask("/pipes/also_bought?item_id=i1")[0] == 200
        repaired = run("repair")
        assert "mended daily_voices: rebuilt from" in repaired.out
        assert service.ask("/pipes/popular?days=365")[0] == 200


@pytest.mark.journey
@pytest.mark.parametrize(("table", "status"), [("events", 503), ("daily_popularity", 200)])
def test_what_could_not_be_loaded_is_known_from_the_start(run: Run, table: str, status: int) -> None:
    """Damaged events make the service unready, damaged counts do not."""
    backup_id(run("backup"))
    part = part_of(run, table)
    damage(part / "columns.txt", "flip")
    with serving(run) as service:
        ready = service.ask("/readyz")
        assert ready[0] == status
        if status == 503:
            assert ready[1]["error"]["code"] == "damaged_parts"
            assert "parts of events are damaged" in ready[1]["error"]["message"]
        else:
            assert ready[1]["damaged"] == [table]
        with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as page:
            assert f'alsobought_broken_parts{{table="{table}"}} 1.0' in page.read().decode()
        assert run("repair").status == 0
        assert run("check").status == 0


@pytest.mark.thorough
@pytest.mark.journey
def test_a_damaged_serving_table_is_made_again(run: Run) -> None:
    folder = Path(run.settings["ALSOBOUGHT_DATA"]) / "data" / "alsobought" / "item_companions"
    files = [path for path in folder.resolve().iterdir() if path.suffix == ".sst"]
    damage(max(files, key=lambda path: path.stat().st_size), "flip")
    assert run("check").err.endswith("run `alsobought repair`\n")
    repaired = run("repair")
    assert repaired.status == 0, repaired
    assert "the engine did not open the serving tables; they are made again" in repaired.out
    assert run("check").status == 0
