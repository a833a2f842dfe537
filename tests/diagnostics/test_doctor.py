"""`alsobought doctor` reports each planted fault with advice, and changes nothing on the disk."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from alsobought.diagnostics import doctor, isolation, warehouse_checks
from alsobought.diagnostics.data_checks import check_filled
from alsobought.diagnostics.doctor import examine
from alsobought.diagnostics.findings import Finding
from alsobought.diagnostics.host_checks import check_disk, check_webhooks
from alsobought.diagnostics.isolation import run_check, run_in_process
from alsobought.diagnostics.placeholder_checks import check_placeholders
from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.settings import Settings
from alsobought.storage.engine_settings import WRITE_SETTINGS
from alsobought.storage.folder_lock import HOLDER
from alsobought.writer.submission import Submission, utc_now
from tests.support.brokers import Broker
from tests.support.kafka import Topics
from tests.support.process import CompletedRun, running, write
from tests.support.project import project_folder
from tests.support.web import VIEW

MERGED = re.compile(r"\w+_\d+_\d+_[1-9]\d*")  # a part that the engine made of smaller ones


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
    """A copy of it, to damage."""
    return shutil.copytree(stored, tmp_path / "copy", symlinks=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the project's SQL, to damage."""
    project_folder(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def host_findings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """`host_findings(data, PORT="80")`: the findings of the checks without the engine, by check."""
    monkeypatch.setattr(doctor, "run_in_process", lambda *_: ())

    def host_findings(data: Path, **settings: object) -> dict[str, Finding]:
        environ = {f"ALSOBOUGHT_{name}": str(value) for name, value in settings.items()}
        return {finding.check: finding for finding in examine({**running(data).settings, **environ})}

    return host_findings


def findings(ran: CompletedRun) -> dict[str, list[Finding]]:
    """The findings, by check."""
    by_check: dict[str, list[Finding]] = {}
    for entry in json.loads(ran.out):
        assert (entry.pop("matter"), entry.pop("found")) == (entry["check"], entry["message"])  # the deprecated names
        by_check.setdefault(entry["check"], []).append(Finding(**entry))
    assert "Traceback" not in ran.err
    assert ran.err == ""
    return by_check


def states(ran: CompletedRun) -> dict[str, set[str]]:
    return {check: {finding.state for finding in by_check} for check, by_check in findings(ran).items()}


def contents_of(folder: Path) -> set[tuple[Path, int, int]]:
    """The files, without what every process writes: the file with its name, and the logs of RocksDB."""
    paths = (path for path in folder.rglob("*") if path.name != HOLDER and not (path.parent / "CURRENT").exists())
    return {(path, (stat := path.lstat()).st_size, stat.st_mtime_ns) for path in paths if path.is_file()}


def test_a_healthy_warehouse_has_no_faults_and_its_folder_is_unchanged(stored: Path) -> None:
    before = contents_of(stored)
    ran = running(stored)("doctor", "--json")
    written = contents_of(stored) - before
    assert all(MERGED.fullmatch(path.parent.name) for path, *_ in written), (
        "the engine may merge parts, or remove merged ones"
    )
    assert ran.status == 0, ran.out
    checks = "python settings home port disk engine writing migrations pipes access surfaces events counts placeholders"
    checks += " bots users items catalogue parts"
    assert states(ran) == {check: {"ok"} for check in checks.split()}
    by_check = findings(ran)
    assert by_check["events"][0].message.startswith("1, the newest stored ")
    assert by_check["items"][0].message == "1"


def test_output_is_one_line_per_finding_without_colours_off_a_terminal(stored: Path) -> None:
    ran = running(stored)("doctor")
    lines = ran.out.splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["python", "settings", "home"]
    assert {line.split()[0] for line in lines} == {"ok"}
    assert "\x1b" not in ran.out


@pytest.mark.thorough
def test_without_a_warehouse_none_is_created_and_the_pipes_are_still_checked(tmp_path: Path) -> None:
    ran = running(tmp_path / "data")("doctor", "--json")
    assert ran.status == 0
    assert list(tmp_path.iterdir()) == []
    by_check = findings(ran)
    assert by_check["warehouse"][0].state == "warning"
    assert by_check["warehouse"][0].advice == "Create one with `alsobought migrate up`"
    assert by_check["pipes"][0].state == "ok"


def test_the_advice_names_the_data_folder_of_a_demo(data: Path) -> None:
    (finding,) = run_check("warehouse", warehouse_checks.check_warehouse, Settings(data=str(data.parent)))
    assert finding.advice.endswith(f"set ALSOBOUGHT_DATA={data}")
    ran = running(data.parent)("check")
    assert ran.status == 1
    assert f"set ALSOBOUGHT_DATA={data}" in ran.err
    assert sorted(path.name for path in data.parent.iterdir()) == ["copy"]


@pytest.mark.thorough
def test_every_invalid_setting_is_reported_and_the_other_checks_run(tmp_path: Path) -> None:
    wrong = {"ALSOBOUGHT_THREADS": "many", "ALSOBOUGHT_NONSENSE": "1", "ALSOBOUGHT_DSN": "tcp://u:hush@h"}
    ran = running(tmp_path / "data")("doctor", "--json", **wrong)
    assert ran.status == 1
    by_check = findings(ran)
    messages = " ".join(finding.message for finding in by_check["settings"])
    assert [finding.state for finding in by_check["settings"]] == ["fault"] * 3
    assert all(name in messages for name in wrong)
    assert "hush" not in ran.out
    assert by_check["pipes"][0].state == "ok"


def test_a_home_that_is_no_project_is_reported(tmp_path: Path) -> None:
    ran = running(tmp_path / "data").at(tmp_path / "nowhere")("doctor", "--json")
    assert ran.status == 1
    by_check = findings(ran)
    assert "there is no folder pipes" in by_check["home"][0].message
    assert "ALSOBOUGHT_HOME" in by_check["home"][0].advice


@pytest.mark.thorough
def test_pending_and_edited_migrations_are_reported(data: Path, home: Path) -> None:
    last = sorted((home / "migrations").glob("*.sql"))[-1]
    extra = home / "migrations" / f"{int(last.stem[:4]) + 1:04}_extra.sql"
    extra.write_text("-- A reason.\ncreate table {{ database }}.extra (x UInt8) engine = MergeTree order by x\n")
    last.write_text(last.read_text() + "-- one more word\n")
    ran = running(data).at(home)("doctor", "--json")
    assert ran.status == 1
    edited, pending = findings(ran)["migrations"]
    assert edited.state == "fault"
    assert last.stem in edited.message
    assert (pending.state, pending.advice) == ("warning", "Run `alsobought migrate up`")
    assert extra.stem in pending.message


@pytest.mark.thorough
def test_a_broken_pipe_is_reported_with_its_line(data: Path, home: Path) -> None:
    (home / "pipes" / "broken.sql").write_text("-- Broken.\n\nselect\n    sleep(3) as nap\nfrom items\nlimit 1\n")
    ran = running(data).at(home)("doctor", "--json")
    assert ran.status == 1
    in_memory, _ = run_check("pipes", warehouse_checks.check_pipes_in_memory, Settings(home=str(home)))
    for finding in (findings(ran)["pipes"][0], in_memory):
        assert finding.message.startswith("pipes/broken.sql:4: the function sleep is not allowed")


@pytest.mark.thorough
def test_a_nearly_full_disk_and_an_unwritable_one_are_reported(
    tmp_path: Path, host_findings: Callable[..., dict[str, Finding]]
) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert host_findings(tmp_path / "data", MIN_FREE_BYTES=2 * free)["disk"].state == "fault"
    assert host_findings(tmp_path / "data", MIN_FREE_BYTES=free // 2)["disk"].state == "warning"
    tmp_path.chmod(0o555)
    try:
        by_check = findings(running(tmp_path / "data").unprivileged("doctor", "--json"))
    finally:
        tmp_path.chmod(0o755)
    assert (by_check["disk"][0].state, by_check["disk"][0].advice) == ("fault", "Set ALSOBOUGHT_DATA")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the command leaves closing to its exit
def test_a_port_held_by_another_program_is_reported(
    tmp_path: Path, host_findings: Callable[..., dict[str, Finding]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = host_findings(tmp_path / "data", PORT=other.getsockname()[1])["port"]
    assert port.state == "fault"
    assert "address already in use" in port.message


def test_a_running_service_is_recognised_and_its_folder_is_left_alone(data: Path) -> None:
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
    by_check = findings(ran)
    assert "an alsobought answers on" in by_check["port"][0].message
    assert "stored" in by_check["port"][0].message
    assert f"holds {data}" in by_check["warehouse"][0].message
    assert by_check["pipes"][0].state == "ok"


def test_an_unreachable_server_is_a_fault_without_its_password(
    tmp_path: Path, host_findings: Callable[..., dict[str, Finding]]
) -> None:
    dsn = "http://user:hush@127.0.0.1:1"
    (finding,) = run_check("warehouse", warehouse_checks.check_warehouse, Settings(dsn=dsn))
    assert finding.message == "cannot open the warehouse http://127.0.0.1:1: connection refused"
    by_check = host_findings(tmp_path / "data", DSN=dsn)
    assert "hush" not in repr((finding, by_check))
    assert "disk" not in by_check


def test_webhooks_that_others_reach_without_a_secret_are_noted() -> None:
    def noted(**settings: str) -> list[tuple[str, str]]:
        return [(found.state, found.message) for found in check_webhooks(Settings(**settings))]  # type: ignore[arg-type]

    assert noted() == noted(host="0.0.0.0", access="open", webhook_secret="s3cret") == noted(host="0.0.0.0") == []  # noqa: S104, S106
    ((state, message),) = noted(host="0.0.0.0", access="open")  # noqa: S104
    assert state == "ok"
    assert message.startswith("/events/segment, /events/ga4, /events/snowplow accept calls without a secret")


@pytest.mark.embedded
def test_kafka_topics_and_lag_are_checked(
    data: Path, kafka: Broker, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Topics(kafka)

    def check(**settings: str) -> tuple[str, str]:
        replaced = msgspec.structs.replace(shop.settings, **settings)
        (finding,) = run_check("kafka", lambda _: warehouse_checks.check_kafka(shop.warehouse, replaced), replaced)
        return finding.state, finding.message

    assert "topic missing in Kafka" in check(**topics.settings)[1]
    topics.create()
    assert check(**topics.settings) == ("ok", f"no lag at {kafka.address}")
    topics.send(VIEW)
    lines = running(data, **topics.environment)("doctor").out.splitlines()
    assert [line.split(maxsplit=2) for line in lines if " kafka " in line] == [
        ["ok", "kafka", f"the connection to {kafka.address} stays on this machine, unencrypted"],
        ["ok", "kafka", f"1 messages wait at {kafka.address}"],
    ]
    monkeypatch.setattr("alsobought.kafka.client.REQUEST_SECONDS", 0.5)
    state, message = check(kafka="127.0.0.1:1")
    assert state == "fault"
    assert "Kafka at 127.0.0.1:1 does not answer" in message


@pytest.mark.thorough
def test_a_damaged_folder_is_a_fault_not_a_crash(data: Path) -> None:
    view = next(path for path in data.rglob("*.sql") if "MATERIALIZED VIEW" in path.read_text())
    good = view.read_text()
    view.write_text("garbage")
    ran = running(data)("doctor", "--json")
    assert ran.status == 1
    by_check = {finding["check"]: finding for finding in json.loads(ran.out)}
    assert by_check["warehouse"]["state"] == "fault"
    assert by_check["pipes"]["state"] == "ok"

    view.write_text(good)
    for checksums in data.rglob("checksums.txt"):
        checksums.write_text("garbage")
    ran = running(data)("doctor", "--json")
    assert ran.status == 1
    parts = findings(ran)["parts"]
    broken = [finding.message for finding in parts if finding.state == "fault"]
    assert any("of events: could not be loaded" in message for message in broken)


def test_an_insert_setting_unknown_to_the_engine_is_a_fault(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WRITE_SETTINGS, "no_such_setting", 1)
    (finding,) = run_check("writing", lambda _: warehouse_checks.check_write_settings(shop.warehouse), shop.settings)
    assert finding.state == "fault"
    assert "no_such_setting" in finding.message


def test_a_count_table_whose_view_is_younger_than_the_events_is_to_be_rebuilt(shop: Service) -> None:
    shop.writer.submit(Submission([Event(event_type="view", user_id="ada", item_id="tea")])).result()
    (finding,) = check_filled(shop.warehouse)
    assert finding.state == "ok", "co_views has no rows, since no view has a session"
    shop.warehouse.command(f"truncate table {shop.settings.database}.daily_voices")
    (finding,) = check_filled(shop.warehouse)
    assert (finding.state, finding.advice) == ("warning", "Run `alsobought rebuild daily_voices`")


def test_a_placeholder_that_is_a_user_or_was_merged_is_a_warning(shop: Service, home: Path) -> None:
    assert [finding.state for finding in check_placeholders(shop.warehouse, home)] == ["ok"]
    views = [
        Event(event_type="view", item_id="tea", user_id=user)
        for user in ("Undefined", "Undefined", "{{user_id}}", "ada")
    ]
    shop.warehouse.command(
        f"insert into {shop.settings.database}.user_merges (guest_id, user_id) values ('null', 'ada'), ('s1', 'ada')"
    )
    shop.writer.clock = utc_now
    shop.writer.submit(Submission(views)).result()
    assert [
        (finding.message, finding.advice.split(",")[0]) for finding in check_placeholders(shop.warehouse, home)
    ] == [
        (
            "'Undefined' is a user: 2 events in the last 7 days",
            "That was everybody without an id: `alsobought forget Undefined`",
        ),
        (
            "'{{user_id}}' is a user: 1 event in the last 7 days",
            "That was everybody without an id: `alsobought forget '{{user_id}}'`",
        ),
        ("'null' was merged into 'ada'", "That account may have events of others: `alsobought unmerge null`"),
    ]
    (home / "sql" / "placeholders.csv").write_text('placeholder String,"stands_for String (nobody, nothing)"\n')
    assert [finding.state for finding in check_placeholders(shop.warehouse, home)] == ["ok"]


def test_merges_that_lag_behind_are_a_warning(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warehouse_checks, "MAX_PARTS", 0)
    (finding,) = run_check("parts", lambda _: warehouse_checks.check_merges(shop.warehouse), shop.settings)
    assert (finding.state, finding.message.startswith("migrations has the most")) == ("warning", True)


# Isolation


def fails(_: Settings) -> Iterator[Finding]:
    yield Finding("fails", "ok", "so far")
    raise ZeroDivisionError


def dies(_: Settings) -> Iterable[Finding]:
    os.abort()


def sleeps(_: Settings) -> Iterable[Finding]:
    time.sleep(60)
    return []


def test_a_failing_check_is_a_finding() -> None:
    findings = list(run_check("fails", fails, Settings()))
    assert [finding.state for finding in findings] == ["ok", "fault"]
    assert findings[1].message == "check failed: ZeroDivisionError"
    assert list(run_in_process("fails", fails, Settings())) == findings


def test_a_dying_engine_is_a_finding() -> None:
    (finding,) = run_in_process("dies", dies, Settings())
    assert (finding.state, finding.message) == ("fault", "the engine's process died (exit status -6)")


def test_a_hanging_engine_is_a_finding_and_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "TIMEOUT_SECONDS", 0.5)
    started = time.monotonic()
    (finding,) = run_in_process("sleeps", sleeps, Settings())
    assert finding.state == "fault"
    assert "no answer" in finding.message
    assert time.monotonic() - started < 20


@pytest.mark.thorough
def test_an_error_of_python_itself_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's name contains a zero byte."""
    monkeypatch.setattr(isolation, "TIMEOUT_SECONDS", 20)
    findings = list(examine({"ALSOBOUGHT_DATA": "a\0b"}))
    assert {finding.state for finding in findings if finding.check == "disk"} == {"fault"}


def test_a_data_folder_that_others_can_read_is_reported(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    assert [finding.state for finding in run_check("disk", check_disk, Settings(data=str(data)))] == ["ok"]
    data.chmod(0o750)
    findings = [f for f in run_check("disk", check_disk, Settings(data=str(data))) if f.state == "warning"]
    assert [(finding.message, finding.advice) for finding in findings] == [
        (f"other users of this machine can read the folder {data}", f"Run `chmod go-rwx {data}`")
    ]
