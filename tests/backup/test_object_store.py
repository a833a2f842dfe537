"""Backups in object storage: the same guarantees as in a folder, through 500s, cut connections and missing objects."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from alsobought.backup import lease, object_store
from alsobought.backup.object_store import PART_BYTES, ObjectStore
from alsobought.backup.retention import backup_ids, read_manifest
from alsobought.backup.store import file_name
from alsobought.backup.stores import open_store
from alsobought.errors import Busy, Unusable
from alsobought.redaction import redacted
from alsobought.settings import Settings
from tests.backup.shop import EVENTS, backup_id, events_of, new_bytes
from tests.support.process import Run
from tests.support.s3_server import BUCKET, S3Server, s3_server

TEA = hashlib.sha256(b"tea").hexdigest()
LARGE = bytes(range(256)) * (PART_BYTES // 256) + b"and more"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as started:
        yield started


@pytest.fixture
def url(server: S3Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.requests.clear()
    return f"s3://{BUCKET}/{abs(hash(request.node.name))}"


@pytest.fixture
def store(url: str) -> ObjectStore:
    return ObjectStore(url, "here")


def _file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def test_equal_bytes_are_uploaded_once(store: ObjectStore, server: S3Server, tmp_path: Path) -> None:
    path, copied = _file(tmp_path, b"tea and more"), list[int]()
    assert store.add(path, 3, copied.append) == (TEA, True)
    assert store.add(path, 3, copied.append) == (TEA, False)
    assert copied == [3, 3]
    assert store.sizes("files") == {file_name(TEA): 3}
    assert b"".join(store.read(file_name(TEA))) == b"tea"
    assert sum(request.startswith("PUT") for request in server.requests) == 1


@pytest.mark.parametrize("fault", ["refuse", "cut"])
def test_an_upload_that_fails_is_repeated(store: ObjectStore, server: S3Server, tmp_path: Path, fault: str) -> None:
    """Of a large file, only the part that failed."""
    server.fail(r"PUT .*partNumber=2", fault)  # type: ignore[arg-type]
    server.fail(r"POST .*uploadId", fault)  # type: ignore[arg-type]
    copied = list[int]()
    digest, _ = store.add(_file(tmp_path, LARGE), len(LARGE), copied.append)
    assert sum(copied) == len(LARGE)
    assert hashlib.sha256(b"".join(store.read(file_name(digest)))).hexdigest() == digest
    parts = [request for request in server.requests if "partNumber" in request]
    assert len(parts) == 3


def test_a_download_that_is_cut_is_resumed(store: ObjectStore, server: S3Server, tmp_path: Path) -> None:
    digest, _ = store.add(_file(tmp_path, LARGE), len(LARGE), lambda _: None)
    server.fail(rf"GET .*{digest}", "half")
    assert hashlib.sha256(b"".join(store.read(file_name(digest)))).hexdigest() == digest


def test_what_fails_for_good_is_named_without_credentials(
    url: str, server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_store, "TRIES", 1)
    server.fail("PUT", "refuse", times=2)
    with pytest.raises(Unusable, match=r"cannot be read or written: status 500 \(127\.0\.0\.1\)") as failed:
        ObjectStore(url, "here").add(_file(tmp_path, b"tea"), 3, lambda _: None)
    secret = server.environment["AWS_SECRET_ACCESS_KEY"]
    assert secret not in str(failed.value)
    assert secret not in redacted(f"of any other text {secret}")
    with pytest.raises(Unusable, match="there is no such bucket"):
        ObjectStore("s3://another-bucket/shop", "here").sizes("backups")
    with pytest.raises(Unusable, match="there is no such bucket"):
        next(ObjectStore("s3://another-bucket/shop", "here").read("warehouse"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unusable, match="it does not answer"):
        ObjectStore(url, "here").sizes("backups")


def test_credentials_in_the_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(Unusable, match="not of the form s3://bucket/prefix") as refused:
        ObjectStore("s3://key:secret@bucket/shop", "here")
    assert "secret" not in str(refused.value)


def test_a_missing_object_is_a_missing_file(store: ObjectStore) -> None:
    with pytest.raises(FileNotFoundError):
        next(store.read(file_name(TEA)))
    store.delete(file_name(TEA))


def test_one_backup_at_a_time_goes_into_a_bucket(url: str, store: ObjectStore) -> None:
    with store.locked():
        with (
            pytest.raises(Busy, match=r"another backup to .* is in progress") as busy,
            ObjectStore(url, "there").locked(),
        ):
            pass
        assert "if it was killed, this works from" in busy.value.hint
        store.sync()
    with ObjectStore(url, "there").locked():
        pass


def test_a_killed_holder_is_replaced_and_notices_it_if_it_lives(
    url: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once by itself, by another when the lease is over."""
    with store.locked():
        with ObjectStore(url, "here").locked(), pytest.raises(Unusable, match="took over meanwhile"):
            store.sync()
        with ObjectStore(url, "here").locked():
            monkeypatch.setattr(lease, "OVER_SECONDS", -60.0)
            other = ObjectStore(url, "there")
            with other.locked():
                other.sync()


def test_a_lost_answer_to_a_renewal_does_not_end_the_lease(store: ObjectStore, server: S3Server) -> None:
    with store.locked():
        server.fail("PUT .*/lock", "half")
        store.sync()
        store.sync()


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "alsobought.backup.object_store")
    with pytest.raises(Unusable, match=r"need the package obstore.*pip install 'alsobought\[s3\]'"):
        open_store(Settings(), "s3://bucket/shop")
    with pytest.raises(Unusable, match="backups do not go to gs://"):
        open_store(Settings(), "gs://bucket/shop")


@pytest.mark.journey
def test_a_shop_is_backed_up_to_a_bucket_and_restored_from_it(
    url: str, server: S3Server, run: Run, tmp_path: Path
) -> None:
    run = replace(run, settings={**run.settings, **server.environment, "ALSOBOUGHT_BACKUP_TO": url})
    server.fail("PUT .*/files/", "refuse", times=2)
    server.fail("PUT .*/backups/", "cut")
    assert run("backup", ALSOBOUGHT_FAILPOINT="backup.copied").status == -signal.SIGKILL
    first = backup_id(uploaded := run("backup"))
    assert float(new_bytes(uploaded).partition(" ")[0]) < 30, "the killed one uploaded nearly all"
    assert json.loads(run("forget", "u2").out)["backups"]["backups"] == [first]
    second = backup_id(run("backup", "take", "--keep", "1"))
    server.fail("GET .*/files/", "half", times=2)
    assert events_of(run("restore", "--into", tmp_path / "restored")) == EVENTS - 10
    kept = ObjectStore(url, "here")
    assert backup_ids(kept) == [second]
    assert set(kept.sizes("files")) == _named_files(kept, second), "retention deleted what no backup names, and no more"
    assert "lock" not in kept.sizes("")
    kept.delete(max(kept.sizes("files")))
    verified = run("verify")
    assert verified.status == 1
    assert f"of backup {second}" in verified.out
    assert "missing" in verified.out


def _named_files(store: ObjectStore, identity: str) -> set[str]:
    return {file_name(file.sha256) for file in read_manifest(store, identity).files}
