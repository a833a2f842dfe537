"""Backups that a ClickHouse server takes itself, to a folder and to a bucket, and what is restored from them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest

from alsobought.backup.manifest import Manifest
from alsobought.backup.object_store import ObjectStore
from alsobought.backup.retention import read_manifest
from alsobought.backup.server import Begun, begin_again
from alsobought.backup.store import FolderStore
from alsobought.errors import NotStored, Unusable
from alsobought.settings import Settings
from tests.backup.shop import EVENTS, backup_id, events_of, order_line
from tests.backup.test_manifest import FACTS
from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import Run, assert_error, write
from tests.support.s3_server import BUCKET, s3_server

ORDERS = [order_line(number) for number in range(EVENTS)]


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A shop of 60 events on a server."""
    folder = tmp_path_factory.mktemp("server")
    with clickhouse_server(folder / "clickhouse") as server:
        run = Run({"ALSOBOUGHT_DSN": server.dsn, "ALSOBOUGHT_RECORD_REQUESTS": "false"}, timeout=300)
        assert run("migrate", "up").status == 0
        assert run("load", "events", write(folder / "events.ndjson", *ORDERS)).status == 0
        items = write(folder / "items.ndjson", {"item_id": "i1", "title": "Tea", "category": "Drinks"})
        assert run("load", "items", items).status == 0
        yield run


def _add_order(run: Run, folder: Path, number: int) -> None:
    assert run("load", "events", write(folder / f"{number}.ndjson", order_line(number))).status == 0


def _manifest(store: Path, identity: str) -> Manifest:
    return read_manifest(FolderStore(store), identity)


@pytest.mark.journey
def test_a_server_backs_itself_up_with_what_is_new_and_is_restored_without_who_was_forgotten(
    migrated: Run, tmp_path: Path
) -> None:
    """A backup that was killed is not there, nor are its files after the next one."""
    backups = tmp_path / "backups"
    run = Run({**migrated.settings, "ALSOBOUGHT_BACKUP_TO": str(backups)}, timeout=300)
    assert run("backup", ALSOBOUGHT_FAILPOINT="backup.copied").status == -signal.SIGKILL
    assert run("backup", "ls", "--json").out == "[]\n"
    full = backup_id(run("backup"))
    assert [path.name for path in (backups / "server").iterdir()] == [full]
    _add_order(run, tmp_path, EVENTS)
    second = _manifest(backups, backup_id(run("backup", "take", "--keep", "2")))
    assert second.server
    assert second.server.base == full
    assert second.new_bytes < second.bytes
    held = json.loads(run("forget", "u2").out)["backups"]
    assert held["backups"] == [full, second.id]
    assert held["until"] == "until 13 newer backups exist", "a full one is kept for those that refer to it"
    third = _manifest(backups, backup_id(run("backup", "take", "--keep", "2")))
    assert third.server
    assert not third.server.base, "the chain is as long as the number of backups that are kept"
    listed = [entry["id"] for entry in json.loads(run("backup", "ls", "--json").out)]
    assert listed == [full, second.id, third.id], "the full one is kept: the second refers to it"

    moved = tmp_path / "moved"
    backups.rename(moved)
    for point in ("restore.linked", "restore.detached"):
        killed = run("restore", moved, "--at", second.id, "--into", "restored", ALSOBOUGHT_FAILPOINT=point)
        assert killed.status == -signal.SIGKILL
        if point == "restore.linked":
            assert_error(run("check", ALSOBOUGHT_DATABASE="restored"), "was not restored completely")
    restored = run("restore", moved, "--at", second.id, "--into", "restored")
    assert events_of(restored) == EVENTS + 1 - 10
    assert "1 users who were forgotten after the backup are erased again" in restored.out
    assert "ALSOBOUGHT_DATABASE=restored" in restored.out
    assert_error(run("restore", moved, "--into", "restored"), "is not empty", "--into")
    assert_error(run("restore", moved, "--into", "no name"), "is no name for a database")
    assert_error(run("restore", moved, "--into", "x", ALSOBOUGHT_DSN=""), "of a ClickHouse server", "ALSOBOUGHT_DSN")

    drill = run("verify", moved, "--full")
    assert events_of(drill) == EVENTS + 1 - 10
    largest = max((moved / "server" / full).rglob("*.bin"), key=lambda path: path.stat().st_size)
    os.truncate(largest, 1)
    verified = run("verify", moved)
    assert verified.status == 1
    assert (
        f"of another size {largest.relative_to(moved / 'server' / full)} of backup {full}, {second.id}" in verified.out
    )


@pytest.mark.thorough
@pytest.mark.journey
def test_a_server_backs_itself_up_to_a_bucket(migrated: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the credentials of the environment, which are not in the backup."""
    with s3_server() as s3:
        place = {"ALSOBOUGHT_BACKUP_TO": f"s3://{BUCKET}/shop"}
        run = Run({**migrated.settings, **s3.environment, **place}, timeout=300)
        first = run("backup")
        _add_order(run, tmp_path, EVENTS + 1)
        second = json.loads(run("backup", "take", "--json").out)
        assert second["base"] == backup_id(first)
        assert run("verify").status == 0
        assert f": {second['facts']['events']} events" in run("restore", "--into", "of_bucket", "--no-check").out
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        store = ObjectStore(f"s3://{BUCKET}/shop", "here")
        kept = b"".join(store.read(f"server/{second['id']}/.backup")).decode()
        assert second["base"] in kept
        assert s3.environment["AWS_SECRET_ACCESS_KEY"] not in kept


@pytest.mark.journey
def test_a_folder_that_the_server_may_not_write_is_named(migrated: Run) -> None:
    with TemporaryDirectory(dir="/var/tmp") as folder:
        assert_error(migrated("backup", folder), "is not allowed for backups", "backups.allowed_path")


def test_a_backup_beside_other_writers_is_begun_again_in_an_empty_folder(tmp_path: Path) -> None:
    store = FolderStore(tmp_path, create=True)
    (tmp_path / "server" / "one").mkdir(parents=True)
    store.write("server/one/half", b"tea")
    begun = Begun("id", 0.1, FACTS)
    service = _Contested([NotStored("another writer took over")] * 4, msgspec.to_builtins(begun))
    assert begin_again(service, store, "server/one", None) == begun
    assert not store.sizes("server")
    service = _Contested([NotStored("another writer took over")] * 5, None)
    with pytest.raises(Unusable, match="other writers stored events each time"):
        begin_again(service, store, "server/one", None)


@dataclass
class _Contested:
    """A service whose writer loses its lease so many times."""

    failures: list[NotStored]
    result: Any
    settings = Settings()
    warehouse: Any = None

    def do(self, _task: str, *_arguments: Any) -> Any:
        if self.failures:
            raise self.failures.pop()
        return self.result
