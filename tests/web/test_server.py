"""`alsobought serve` as a process: requests over HTTP, stopped by a signal, started again."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.process import Run, ServedProcess, running, serving, started
from tests.support.project import project_folder
from tests.support.web import VIEW


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return running(tmp_path / "data")


def viewed(service: ServedProcess, user: str = "u") -> list[str]:
    status, body = service.ask(f"/pipes/recently_viewed?user_id={user}")
    assert status == 200
    return [row["item_id"] for row in body["data"]]


@pytest.mark.thorough
def test_posted_events_survive_a_restart(run: Run) -> None:
    with serving(run) as service:
        assert service.ask("/readyz")[0] == 200
        assert service.ask("/events?wait=true", [VIEW, VIEW | {"item_id": "mug", "event_id": "e1"}])[0] == 200
        assert viewed(service) == ["mug", "tea"]
        as_of = service.ask("/pipes/recently_viewed?user_id=u")[1]["as_of"]
        assert service.stop() < 10
        assert service.process.returncode == 0
        assert service.process.stderr
        assert service.process.stderr.read() == ""
    with serving(run) as service:
        assert viewed(service) == ["mug", "tea"]
        assert service.ask("/pipes/recently_viewed?user_id=u")[1]["as_of"] == as_of
        assert service.ask("/events?wait=true", VIEW | {"item_id": "mug", "event_id": "e1"})[1]["duplicates"] == 1
        assert service.ask("/events?wait=true", VIEW | {"item_id": "cup"})[0] == 200
        assert viewed(service) == ["cup", "mug", "tea"]
    assert run("check").status == 0


@pytest.mark.journey
def test_posts_that_the_warehouse_refuses_are_stored_by_the_next_start(run: Run) -> None:
    with serving(run.rejecting_inserts(0)) as service:
        assert service.ask("/events", [VIEW, VIEW | {"item_id": "mug"}])[0] == 202
        assert service.ask("/events", VIEW | {"item_id": "pot"})[0] == 202
        assert service.ask("/readyz")[1]["waiting"] == 3
        assert viewed(service) == []
    with serving(run) as service:
        assert service.ask("/events?wait=true", VIEW | {"item_id": "cup"})[0] == 200
        assert viewed(service) == ["cup", "pot", "mug", "tea"]
    assert run("check").status == 0


def test_stopping_loses_nothing_that_was_accepted(run: Run) -> None:
    accepted: list[str] = []
    refused: list[str] = []

    def post(service: ServedProcess, thread: int) -> None:
        for number in range(100_000):
            event_id = f"{thread}-{number}"
            try:
                status, _ = service.ask("/events", VIEW | {"event_id": event_id, "user_id": f"u{thread}"})
            except (OSError, http.client.HTTPException):  # it is gone
                refused.append(event_id)
                return
            if status == 202:
                accepted.append(event_id)

    with serving(run) as service:
        threads = [threading.Thread(target=post, args=(service, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        while len(accepted) < 40:
            time.sleep(0.01)
        assert service.stop() < 15
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
    assert len(refused) == 4
    stored = run.python(
        """
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment(), create=False)
        for (event_id,) in warehouse.trusted_rows("select event_id from alsobought.events").data:
            print(event_id)
        warehouse.close()
        """
    ).split()
    assert set(accepted) - set(stored) == set()
    assert len(stored) == len(set(stored))
    assert run("check").status == 0


def test_a_saved_pipe_answers_the_next_request_and_a_broken_one_affects_no_other(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    project_folder(home)
    (home / "pipes" / "broken.sql").write_text("-- Broken.\nselect item_id from itms order by item_id limit 1\n")
    text = "-- Views.\nselect count() as views from events where event_type = 'view' order by views limit 1\n"
    pipe = home / "pipes" / "views.sql"
    pipe.write_text(text)
    with serving(run.at(home)) as service:
        assert service.ask("/events?wait=true", VIEW)[0] == 200
        assert service.ask("/pipes/broken")[0] == 503
        assert service.ask("/pipes/views")[1]["data"] == [{"views": 1}]

        pipe.write_text(text.replace("as views", "+ 100 as views"))
        assert service.ask("/pipes/views")[1]["data"] == [{"views": 101}]
        good = service.ask("/pipes/views")[1]["pipe"]["version"]

        pipe.write_text(text.replace("from events", "from evnts"))
        status, body = service.ask("/pipes/views")
        assert (status, body["data"], body["pipe"]["version"]) == (200, [{"views": 101}], good)

        (home / "pipes" / "broken.sql").write_text(text)
        assert service.ask("/pipes/broken")[1]["data"] == [{"views": 1}]

        (home / "pipes" / "brand_new.sql").write_text(text)
        assert service.ask("/pipes/brand_new")[1]["data"] == [{"views": 1}]
        assert "/pipes/brand_new" in service.ask("/openapi.json")[1]["paths"]

        pipe.unlink()
        assert service.ask("/pipes/views")[0] == 404
        assert viewed(service) == ["tea"]


def test_a_second_service_on_the_same_folder_is_refused(run: Run, tmp_path: Path) -> None:
    with serving(run) as service:
        ran = running(tmp_path / "data")("serve")
        assert ran.status == 1
        assert ran.err.count("\n") == 1
        assert ran.err.startswith(f"alsobought: the folder {tmp_path / 'data'} is in use by process ")
        assert service.ask("/healthz")[0] == 200


@pytest.mark.thorough
def test_of_services_started_together_one_serves_and_the_others_name_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        processes = [stack.enter_context(started(running(tmp_path / "data"))) for _ in range(3)]
        lines = [process.stdout.readline() for process in processes if process.stdout]
        assert len([line for line in lines if line.startswith("Listening on ")]) == 1
        for process in [process for process, line in zip(processes, lines, strict=True) if not line]:
            assert process.wait(30) != 0
            assert process.stderr
            sentence = process.stderr.read()
            assert re.fullmatch(
                rf"alsobought: the folder {tmp_path / 'data'} is in use by process \d+[.] Stop it, .*\n", sentence
            ), sentence


def test_an_occupied_port_is_one_sentence_that_suggests_another(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for words in (("serve",), ("demo", "--dataset", "toyshop")):
            ran = run(*words, ALSOBOUGHT_PORT=str(port))
            assert ran.status == 1
            assert ran.err == (
                f"alsobought: port {port} on 127.0.0.1 cannot be used: address already in use."
                f" Set ALSOBOUGHT_PORT, for example ALSOBOUGHT_PORT={port + 1}\n"
            )
