"""`alsobought doctor`: each fault is planted, told with what to do, and nothing on the disk is changed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from alsobought.diagnostics import doctor
from alsobought.diagnostics.doctor import examine
from alsobought.diagnostics.findings import Finding, apart, in_own_process
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.storage.engine_settings import WRITE_SETTINGS
from alsobought.storage.folder_lock import HOLDER
from tests.support.brokers import Broker
from tests.support.kafka import Topics
from tests.support.process import CompletedRun, running, write
from tests.support.project import project_folder
from tests.support.web import VIEW


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an event and an item. For tests that only read."""
    folder = tmp_path_factory.mktemp("stored")
    run = running(folder / "data")
    assert run("load", "items", write(folder / "i.ndjson", {"item_id": "tea", "title": "Tea"})).status == 0
    assert run("load", "events", write(folder / "e.ndjson", VIEW)).status == 0
    return folder / "data"


@pytest.fixture
def data(stored: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return shutil.copytree(stored, tmp_path / "copy", symlinks=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the project's SQL, to be spoilt."""
    project_folder(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """`outside(data, PORT="80")`: what is found without the engine, by matter."""
    monkeypatch.setattr(doctor, "in_own_process", lambda *_: ())

    def outside(data: Path, **settings: object) -> dict[str, Finding]:
        given = {f"ALSOBOUGHT_{name}": str(value) for name, value in settings.items()}
        return {one.matter: one for one in examine({**running(data).settings, **given})}

    return outside


def findings(ran: CompletedRun) -> dict[str, list[Finding]]:
    """What was found, by matter."""
    found: dict[str, list[Finding]] = {}
    for one in json.loads(ran.out):
        found.setdefault(one["matter"], []).append(Finding(**one))
    assert "Traceback" not in ran.err
    assert ran.err == ""
    return found


def states(ran: CompletedRun) -> dict[str, set[str]]:
    return {matter: {one.state for one in found} for matter, found in findings(ran).items()}


def everything_in(folder: Path) -> list[tuple[str, int, int]]:
    paths = sorted(path for path in folder.rglob("*") if path.name != HOLDER)  # which says who looked last
    return [(str(path), (at := path.lstat()).st_size, at.st_mtime_ns) for path in paths]


def test_a_sound_warehouse_is_found_sound_and_nothing_in_its_folder_changes(stored: Path) -> None:
    before = everything_in(stored)
    ran = running(stored)("doctor", "--json")
    assert everything_in(stored) == before
    assert ran.status == 0, ran.out
    matters = "python settings home port disk engine writing migrations pipes events items catalogue parts"
    assert states(ran) == {matter: {"ok"} for matter in matters.split()}
    found = findings(ran)
    assert found["events"][0].found.startswith("1, the newest stored ")
    assert found["items"][0].found == "1"


def test_it_is_one_line_a_matter_without_colours_where_there_is_no_terminal(stored: Path) -> None:
    ran = running(stored)("doctor")
    lines = ran.out.splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["python", "settings", "home"]
    assert {line.split()[0] for line in lines} == {"ok"}
    assert "\x1b" not in ran.out


def test_where_there_is_no_warehouse_none_is_made_and_the_pipes_are_checked_all_the_same(tmp_path: Path) -> None:
    ran = running(tmp_path / "data")("doctor", "--json")
    assert ran.status == 0
    assert list(tmp_path.iterdir()) == []
    found = findings(ran)
    assert found["warehouse"][0].state == "warning"
    assert found["warehouse"][0].advice == "`alsobought migrate up` makes one"
    assert found["pipes"][0].state == "ok"


def test_the_folder_of_a_demo_is_pointed_at(data: Path) -> None:
    (found,) = apart("warehouse", doctor._inside, Settings(data=str(data.parent)))
    assert found.advice.endswith(f"set ALSOBOUGHT_DATA={data}")
    ran = running(data.parent)("check")
    assert ran.status == 1
    assert f"set ALSOBOUGHT_DATA={data}" in ran.err
    assert sorted(path.name for path in data.parent.iterdir()) == ["copy"]


def test_every_wrong_setting_is_told_and_the_rest_is_examined(tmp_path: Path) -> None:
    wrong = {"ALSOBOUGHT_THREADS": "many", "ALSOBOUGHT_NONSENSE": "1", "ALSOBOUGHT_DSN": "tcp://u:hush@h"}
    ran = running(tmp_path / "data")("doctor", "--json", **wrong)
    assert ran.status == 1
    found = findings(ran)
    told = " ".join(finding.found for finding in found["settings"])
    assert [finding.state for finding in found["settings"]] == ["fault"] * 3
    assert all(name in told for name in wrong)
    assert "hush" not in ran.out
    assert found["pipes"][0].state == "ok"


def test_a_home_that_is_none_is_told(tmp_path: Path) -> None:
    ran = running(tmp_path / "data").at(tmp_path / "nowhere")("doctor", "--json")
    assert ran.status == 1
    found = findings(ran)
    assert "there is no folder pipes" in found["home"][0].found
    assert "ALSOBOUGHT_HOME" in found["home"][0].advice


def test_pending_and_edited_migrations_are_told(data: Path, home: Path) -> None:
    last = sorted((home / "migrations").glob("*.sql"))[-1]
    extra = home / "migrations" / f"{int(last.stem[:4]) + 1:04}_extra.sql"
    extra.write_text("-- A reason.\ncreate table {{ database }}.extra (x UInt8) engine = MergeTree order by x\n")
    last.write_text(last.read_text() + "-- one more word\n")
    ran = running(data).at(home)("doctor", "--json")
    assert ran.status == 1
    edited, pending = findings(ran)["migrations"]
    assert edited.state == "fault"
    assert last.stem in edited.found
    assert (pending.state, pending.advice) == ("warning", "Run `alsobought migrate up`")
    assert extra.stem in pending.found


def test_a_broken_pipe_is_told_with_its_line(data: Path, home: Path) -> None:
    (home / "pipes" / "broken.sql").write_text("-- Broken.\n\nselect\n    sleep(3) as nap\nfrom items\nlimit 1\n")
    ran = running(data).at(home)("doctor", "--json")
    assert ran.status == 1
    (without,) = apart("pipes", doctor._pipes_in_memory, Settings(home=str(home)))
    for found in (findings(ran)["pipes"][0], without):
        assert found.found.startswith("pipes/broken.sql:4: the function sleep is not allowed")


def test_a_disk_that_is_nearly_full_and_one_that_cannot_be_written_are_told(
    tmp_path: Path, outside: Callable[..., dict[str, Finding]]
) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert outside(tmp_path / "data", MIN_FREE_BYTES=2 * free)["disk"].state == "fault"
    assert outside(tmp_path / "data", MIN_FREE_BYTES=free // 2)["disk"].state == "warning"
    tmp_path.chmod(0o555)
    try:
        found = findings(running(tmp_path / "data").unprivileged("doctor", "--json"))
    finally:
        tmp_path.chmod(0o755)
    assert (found["disk"][0].state, found["disk"][0].advice) == ("fault", "Set ALSOBOUGHT_DATA")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # a command ends with what it asked
def test_a_port_that_another_program_has_is_told(tmp_path: Path, outside: Callable[..., dict[str, Finding]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = outside(tmp_path / "data", PORT=other.getsockname()[1])["port"]
    assert port.state == "fault"
    assert "address already in use" in port.found


def test_a_service_that_runs_is_known_by_its_answer_and_its_folder_is_left_alone(data: Path) -> None:
    run = running(data)
    command = [sys.executable, "-m", "alsobought", "serve"]
    with subprocess.Popen(command, env=run.environment({}), stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout
            assert "Listening on" in service.stdout.readline()
            ran = run("doctor", "--json")
        finally:
            service.terminate()
    assert ran.status == 0, ran.out
    found = findings(ran)
    assert "an alsobought answers on" in found["port"][0].found
    assert "stored" in found["port"][0].found
    assert f"holds {data}" in found["warehouse"][0].found
    assert found["pipes"][0].state == "ok"


def test_a_server_that_is_not_there_is_a_fault_without_its_password(
    tmp_path: Path, outside: Callable[..., dict[str, Finding]]
) -> None:
    dsn = "http://user:hush@127.0.0.1:1"
    (found,) = apart("warehouse", doctor._inside, Settings(dsn=dsn))
    assert found.found == "the warehouse http://127.0.0.1:1 does not open: connection refused"
    there = outside(tmp_path / "data", DSN=dsn)
    assert "hush" not in repr((found, there))
    assert "disk" not in there


@pytest.mark.embedded
def test_kafka_is_asked_for_its_topics_and_the_warehouse_for_what_it_read(
    data: Path, kafka: Broker, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(kafka)

    def said(**settings: str) -> tuple[str, str]:
        ours = msgspec.structs.replace(shop.settings, **settings)
        (found,) = apart("kafka", lambda _: doctor._kafka(shop.warehouse, ours), ours)
        return found.state, found.found

    assert "lacks a topic" in said(**topics.settings)[1]
    topics.create()
    assert said(**topics.settings) == ("ok", f"all of {kafka.address} is read")
    topics.send(VIEW)
    lines = running(data, **topics.environment)("doctor").out.splitlines()
    assert [line.split(maxsplit=2) for line in lines if " kafka " in line] == [
        ["ok", "kafka", f"1 messages wait at {kafka.address}"]
    ]
    monkeypatch.setattr("alsobought.kafka.client.REQUEST_SECONDS", 0.5)
    state, found = said(kafka="127.0.0.1:1")
    assert state == "fault"
    assert "Kafka at 127.0.0.1:1 does not answer" in found


@pytest.mark.thorough
def test_a_damaged_folder_is_a_fault_and_not_a_crash(data: Path) -> None:
    view = next(path for path in data.rglob("*.sql") if "MATERIALIZED VIEW" in path.read_text())
    good = view.read_text()
    view.write_text("garbage")
    ran = running(data)("doctor", "--json")
    assert ran.status == 1
    found = {one["matter"]: one for one in json.loads(ran.out)}
    assert found["warehouse"]["state"] == "fault"
    assert found["pipes"]["state"] == "ok"

    view.write_text(good)
    for checksums in data.rglob("checksums.txt"):
        checksums.write_text("garbage")
    ran = running(data)("doctor", "--json")
    assert ran.status == 1
    broken = [one["found"] for one in json.loads(ran.out) if one["matter"] == "parts" and one["state"] == "fault"]
    assert any("of events could not be read" in one for one in broken)


def test_a_setting_of_the_inserts_that_the_engine_does_not_know_is_a_fault(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WRITE_SETTINGS, "no_such_setting", 1)
    (found,) = apart("writing", lambda _: doctor._writing(shop.warehouse), shop.settings)
    assert found.state == "fault"
    assert "no_such_setting" in found.found


def test_merges_that_lag_behind_are_a_warning(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MANY_PARTS", 0)
    (found,) = apart("parts", lambda _: doctor._parts(shop.warehouse), shop.settings)
    assert (found.state, found.found.startswith("migrations has the most")) == ("warning", True)


# Apart from each other


def fails(_: Settings) -> Iterator[Finding]:
    yield Finding("fails", "ok", "so far")
    raise ZeroDivisionError


def dies(_: Settings) -> Iterable[Finding]:
    os.abort()


def sleeps(_: Settings) -> Iterable[Finding]:
    time.sleep(60)
    return []


def test_an_examination_that_fails_is_a_finding() -> None:
    found = list(apart("fails", fails, Settings()))
    assert [one.state for one in found] == ["ok", "fault"]
    assert found[1].found == "could not be examined: ZeroDivisionError"
    assert list(in_own_process("fails", fails, Settings())) == found


def test_an_engine_that_dies_is_a_finding() -> None:
    (found,) = in_own_process("dies", dies, Settings())
    assert (found.state, found.found) == ("fault", "the engine's process died (exit status -6)")


def test_an_engine_that_never_answers_is_a_finding_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.diagnostics.findings.PATIENCE", 0.5)
    started = time.monotonic()
    (found,) = in_own_process("sleeps", sleeps, Settings())
    assert found.state == "fault"
    assert "no answer" in found.found
    assert time.monotonic() - started < 20


def test_what_python_itself_cannot_do_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything around the engine may fail: the folder's name here holds a zero byte."""
    monkeypatch.setattr("alsobought.diagnostics.findings.PATIENCE", 20)
    found = list(examine({"ALSOBOUGHT_DATA": "a\0b"}))
    assert {one.state for one in found if one.matter == "disk"} == {"fault"}
