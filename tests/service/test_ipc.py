"""Commands beside a running service: they call the process that holds the folder."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from alsobought.errors import NotStored, TooSlow, WarehouseFault
from alsobought.events import Event
from alsobought.service.ipc_client import IpcClient, RemoteWarehouse, RemoteWriter
from alsobought.service.ipc_protocol import SOCKET
from alsobought.service.ipc_server import IpcServer
from alsobought.service.service import Service
from alsobought.serving.cache import MAX_STALENESS_SECONDS
from alsobought.storage.folder_lock import holder_of
from alsobought.writer.submission import Submission
from tests.support.process import Run, ServedProcess, assert_error, running, serving, write
from tests.support.web import VIEW


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return running(tmp_path / "a folder with a name that is longer than the path of a socket may be" / ("x" * 60))


@pytest.fixture
def service(run: Run) -> Iterator[ServedProcess]:
    with serving(run) as service:
        yield service


def test_commands_beside_the_service_print_the_same_as_alone(run: Run, service: ServedProcess, tmp_path: Path) -> None:
    socket = Path(run.settings["ALSOBOUGHT_DATA"]) / SOCKET
    assert socket.stat().st_mode & 0o777 == 0o600, "only the owner has access"
    lines = [{**VIEW, "item_id": item, "timestamp": "2026-01-01T12:00:00Z"} for item in ("tea", "pot")]
    loaded = run("load", "events", write(tmp_path / "two.ndjson", *lines))
    assert "2 events stored" in loaded.out
    ask = ("pipe", "run", "recently_viewed", "user_id=u")
    beside = {words: run(*words) for words in (ask, ("migrate", "status"), ("migrate", "up"))}
    assert run("check").status == 0
    assert [row["item_id"] for row in service.ask("/pipes/recently_viewed?user_id=u")[1]["data"]] == ["pot", "tea"]
    service.stop()
    assert not socket.exists()
    for words, remote in beside.items():
        alone = run(*words)
        assert (remote.status, remote.out, remote.err) == (alone.status, alone.out, alone.err)
    assert [row["item_id"] for row in json.loads(beside[ask].out)] == ["pot", "tea"]


def test_a_load_beside_the_service_invalidates_its_cache_and_errors_read_the_same(
    run: Run, service: ServedProcess, tmp_path: Path
) -> None:
    path = "/pipes/also_bought?item_id=tea"
    order = {"event_type": "purchase", "user_id": "u", "order_id": "o"}
    service.ask("/events?wait=true", [order | {"item_id": "tea"}, order | {"item_id": "pot"}])
    assert len(service.ask(path)[1]["data"]) == 1
    run("load", "events", write(tmp_path / "more.ndjson", order | {"item_id": "mug"}))
    deadline = time.monotonic() + MAX_STALENESS_SECONDS
    asked = time.monotonic()
    while len(service.ask(path)[1]["data"]) < 2:
        assert asked < deadline, "a load is visible within a second, as a post without a wait"
        asked = time.monotonic()
    assert_error(run("pipe", "run", "also_bought"), "item_id")
    assert_error(run("pipe", "run", "also_bough", "item_id=tea"), "also_bought")


@pytest.mark.journey
def test_a_socket_left_by_a_killed_service_is_ignored(run: Run) -> None:
    folder = Path(run.settings["ALSOBOUGHT_DATA"])
    with serving(run) as service:
        service.ask("/events?wait=true", VIEW)
        service.process.kill()
        os.kill(int(holder_of(folder)), signal.SIGKILL)  # its worker, before it notices
        while holder_of(folder):
            time.sleep(0.01)
    assert (folder / SOCKET).exists()
    assert "tea" in run("pipe", "run", "recently_viewed", "user_id=u").out
    with serving(run):
        assert "tea" in run("pipe", "run", "recently_viewed", "user_id=u").out


# Both sides in one process


@pytest.fixture
def client(shop: Service, tmp_path: Path) -> Iterator[IpcClient]:
    server = IpcServer(tmp_path, shop.writer, shop.warehouse.another)
    client = IpcClient(tmp_path)
    yield client
    client.close()
    server.close()


def test_errors_keep_their_type_message_and_hint(shop: Service, client: IpcClient) -> None:
    remote = RemoteWarehouse(client, shop.settings)
    for kind, sql in ((WarehouseFault, "select nonsense"), (TooSlow, "select count() from numbers(100000000000)")):
        with pytest.raises(kind) as local_error:
            shop.warehouse.rows(sql)
        with pytest.raises(kind) as remote_error:
            remote.rows(sql)
        assert str(remote_error.value) == str(local_error.value)
    assert remote.value("select {x:String}", {"x": "a\t'b\\"}) == "a\t'b\\"
    with pytest.raises(WarehouseFault, match="no method 'close'"):
        client.call("close")


def test_rows_are_stored_in_the_order_of_submission(shop: Service, client: IpcClient) -> None:
    writer = RemoteWriter(client, RemoteWarehouse(client, shop.settings), shop.settings)
    futures = [
        writer.submit(Submission([Event(event_type="view", user_id="u", item_id=f"i{n}") for _ in range(3)]))
        for n in range(40)
    ]
    assert sum(future.result().rows for future in futures) == 120
    database = shop.settings.database
    rows = shop.warehouse.trusted_rows(f"select item_id from {database}.events order by seq limit 1 by item_id").data
    assert [row[0] for row in rows] == [f"i{n}" for n in range(40)]


def test_nothing_is_stored_after_a_failed_submission_it_depends_on(
    shop: Service, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RemoteWriter(client, RemoteWarehouse(client, shop.settings), shop.settings)
    insert, gate = shop.writers[0]._insert, threading.Event()

    def refuse(table: str, lines: bytes, token: str) -> None:
        gate.wait(10)
        if b"bad" in lines:
            raise NotStored("no room")
        insert(table, lines, token)

    monkeypatch.setattr(shop.writer, "_insert", refuse)
    before: Future[object] | None = None
    futures = []
    for offset, item in enumerate(("good", "bad", "good", "good")):
        event = Event(event_type="view", user_id="u", item_id=item)
        futures.append(writer.submit(Submission([event], f"file-{offset}", [offset], before)))  # type: ignore[arg-type]
        before = futures[-1]  # type: ignore[assignment]
    gate.set()
    assert [future.exception() is None for future in futures] == [True, False, False, False]
    assert isinstance(futures[3].exception(), NotStored)


def test_calls_fail_when_the_server_ends(shop: Service, tmp_path: Path) -> None:
    server = IpcServer(tmp_path, shop.writer, shop.warehouse.another)
    client = IpcClient(tmp_path)
    assert client.call("version")
    server.close()
    with pytest.raises(WarehouseFault, match="has ended"):
        client.call("version")
