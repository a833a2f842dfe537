"""Commands beside a running shop: one process holds the folder, the others ask it, and nothing looks different."""

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


def test_commands_answer_beside_the_service_as_they_do_alone(run: Run, service: ServedProcess, tmp_path: Path) -> None:
    socket = Path(run.settings["ALSOBOUGHT_DATA"]) / SOCKET
    assert socket.stat().st_mode & 0o777 == 0o600, "it is the owner's alone"
    lines = [{**VIEW, "item_id": item, "timestamp": "2026-01-01T12:00:00Z"} for item in ("tea", "pot")]
    loaded = run("load", "events", write(tmp_path / "two.ndjson", *lines))
    assert "2 events stored" in loaded.out
    asked = ("pipe", "run", "recently_viewed", "user_id=u")
    beside = {words: run(*words) for words in (asked, ("migrate", "status"), ("migrate", "up"))}
    assert run("check").status == 0
    assert [row["item_id"] for row in service.ask("/pipes/recently_viewed?user_id=u")[1]["data"]] == ["pot", "tea"]
    service.stop()
    assert not socket.exists()
    for words, there in beside.items():
        alone = run(*words)
        assert (there.status, there.out, there.err) == (alone.status, alone.out, alone.err)
    assert [row["item_id"] for row in json.loads(beside[asked].out)] == ["pot", "tea"]


def test_what_is_loaded_beside_the_service_drops_its_kept_answers_and_a_fault_is_the_same_sentence(
    run: Run, service: ServedProcess, tmp_path: Path
) -> None:
    path = "/pipes/also_bought?item_id=tea"
    order = {"event_type": "purchase", "user_id": "u", "order_id": "o"}
    service.ask("/events?wait=true", [order | {"item_id": "tea"}, order | {"item_id": "pot"}])
    assert len(service.ask(path)[1]["data"]) == 1
    run("load", "events", write(tmp_path / "more.ndjson", order | {"item_id": "mug"}))
    assert len(service.ask(path)[1]["data"]) == 2
    assert_error(run("pipe", "run", "also_bought"), "item_id")
    assert_error(run("pipe", "run", "also_bough", "item_id=tea"), "also_bought")


def test_a_socket_that_a_kill_left_behind_disturbs_nobody(run: Run) -> None:
    folder = Path(run.settings["ALSOBOUGHT_DATA"])
    with serving(run) as service:
        service.ask("/events?wait=true", VIEW)
        service.process.kill()
        os.kill(int(holder_of(folder)), signal.SIGKILL)  # the one under it, before it sees that
        while holder_of(folder):
            time.sleep(0.01)
    assert (folder / SOCKET).exists()
    assert "tea" in run("pipe", "run", "recently_viewed", "user_id=u").out
    with serving(run):
        assert "tea" in run("pipe", "run", "recently_viewed", "user_id=u").out


# Both sides in one process


@pytest.fixture
def client(shop: Service, tmp_path: Path) -> Iterator[IpcClient]:
    holder = IpcServer(tmp_path, shop.writer, shop.warehouse.another)
    client = IpcClient(tmp_path)
    yield client
    client.close()
    holder.close()


def test_errors_keep_their_kind_their_words_and_their_hint(shop: Service, client: IpcClient) -> None:
    asked = RemoteWarehouse(client, shop.settings)
    for kind, sql in ((WarehouseFault, "select nonsense"), (TooSlow, "select count() from numbers(100000000000)")):
        with pytest.raises(kind) as here:
            shop.warehouse.rows(sql)
        with pytest.raises(kind) as there:
            asked.rows(sql)
        assert str(there.value) == str(here.value)
    assert asked.value("select {x:String}", {"x": "a\t'b\\"}) == "a\t'b\\"
    with pytest.raises(WarehouseFault, match="does not know 'close'"):
        client.ask("close")


def test_rows_are_stored_in_the_order_they_were_handed_over(shop: Service, client: IpcClient) -> None:
    writer = RemoteWriter(client, RemoteWarehouse(client, shop.settings), shop.settings)
    futures = [
        writer.submit(Submission([Event(event_type="view", user_id="u", item_id=f"i{n}") for _ in range(3)]))
        for n in range(40)
    ]
    assert sum(future.result().rows for future in futures) == 120
    database = shop.settings.database
    rows = shop.warehouse.trusted_rows(f"select item_id from {database}.events order by seq limit 1 by item_id").data
    assert [row[0] for row in rows] == [f"i{n}" for n in range(40)]


def test_what_was_to_be_stored_behind_a_failure_is_not(
    shop: Service, client: IpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RemoteWriter(client, RemoteWarehouse(client, shop.settings), shop.settings)
    insert, gate = shop.writer._insert, threading.Event()

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


def test_a_holder_that_ends_is_told_to_who_waits(shop: Service, tmp_path: Path) -> None:
    holder = IpcServer(tmp_path, shop.writer, shop.warehouse.another)
    client = IpcClient(tmp_path)
    assert client.ask("hello")
    holder.close()
    with pytest.raises(WarehouseFault, match="has ended"):
        client.ask("hello")
