"""Several HTTP processes behind one port, on a ClickHouse server with Kafka: each follows the ingester."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from alsobought.kafka.consumer import TopicConsumer
from alsobought.writer.submission import utc_now
from tests.support.brokers import Broker
from tests.support.clickhouse_server import clickhouse_server
from tests.support.engines import Engine
from tests.support.kafka import Topics, until
from tests.support.process import Run, ServedProcess, assert_error, running, serving
from tests.support.web import VIEW


@dataclass(frozen=True)
class Worker:
    """One of the HTTP processes, and a connection that it has accepted."""

    pid: int
    connection: HTTPConnection

    def ask(self, path: str, body: object = None) -> tuple[int, Any]:
        self.connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body))
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def requests(self) -> float:
        """The requests to `recently_viewed` in the metrics."""
        self.connection.request("GET", "/metrics")
        page = self.connection.getresponse().read().decode()
        counts = re.findall(r'^alsobought_pipe_requests_total{pipe="recently_viewed",status="200"} (\S+)$', page, re.M)
        return sum(map(float, counts))

    def viewed(self, user: str) -> list[str]:
        return [row["item_id"] for row in self.ask(f"/pipes/recently_viewed?user_id={user}")[1]["data"]]


@contextmanager
def suspended(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def pids_of_workers(service: ServedProcess) -> list[int]:
    parent = service.process.pid
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def connect(service: ServedProcess, stack: ExitStack) -> list[Worker]:
    """A connection to each of two workers: it is accepted while the other is suspended."""
    until(lambda: len(pids_of_workers(service)) == 2)
    pids = pids_of_workers(service)
    workers = []
    for pid in pids:
        connection = HTTPConnection(urlsplit(service.url).netloc, timeout=30)
        stack.callback(connection.close)
        workers.append(Worker(pid, connection))
        with suspended([other for other in pids if other != pid]):
            assert workers[-1].ask("/readyz")[0] == 200
    return workers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with clickhouse_server(tmp_path_factory.mktemp("clickhouse")) as started:
        yield Engine(started.dsn)


@pytest.fixture
def topics(kafka: Broker) -> Topics:
    return Topics(kafka)


@pytest.fixture
def run(server: Engine, topics: Topics, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """Commands on a database of the test's own, while an ingester stores what is posted."""
    shop = server.shop(request.node.name[:50], utc_now, **topics.settings)
    consumer = TopicConsumer(shop.writer, shop.settings)
    consumer.start()
    settings = {"ALSOBOUGHT_DSN": server.dsn, "ALSOBOUGHT_DATABASE": shop.settings.database, **topics.environment}
    yield running(tmp_path / "unused", **settings)
    consumer.stop()
    shop.close()


@pytest.mark.thorough
def test_an_event_posted_through_one_worker_is_seen_through_the_other_within_a_second(run: Run) -> None:
    seconds = []
    with serving(run, "--workers", "2") as service, ExitStack() as stack:
        first, second = connect(service, stack)
        for number in range(5):
            item = f"tea-{number}"
            assert item not in [*first.viewed("u"), *second.viewed("u")], "both have an answer in their caches"
            assert first.ask("/events", VIEW | {"item_id": item})[0] == 202
            seconds.append(until(lambda: item in second.viewed("u"), every=0.01))  # noqa: B023
            until(lambda: item in first.viewed("u"))  # noqa: B023
    assert min(seconds) < 1, seconds


@pytest.mark.thorough
def test_after_a_wait_no_worker_has_a_stale_answer(run: Run) -> None:
    with serving(run, "--workers", "2") as service, ExitStack() as stack, ThreadPoolExecutor(1) as threads:
        workers = connect(service, stack)
        for number in range(6):
            poster, reader = workers if number % 2 else reversed(workers)
            item = f"tea-{number}"
            posted = threads.submit(poster.ask, "/events?wait=true", VIEW | {"item_id": item})
            while not posted.done():
                reader.viewed("u")  # and it is cached, at each step of the insert
            assert posted.result()[0] == 200
            assert item in reader.viewed("u")
            assert item in poster.viewed("u")


@pytest.mark.thorough
def test_a_wait_includes_a_worker_that_is_late(run: Run) -> None:
    path = "/pipes/recently_viewed?user_id=u"
    with serving(run, "--workers", "2") as service, ExitStack() as stack, ThreadPoolExecutor(1) as threads:
        poster, late = connect(service, stack)
        assert late.viewed("u") == []
        with suspended([late.pid]):  # so the other accepts all connections
            posted = threads.submit(poster.ask, "/events?wait=true", VIEW)
            until(lambda: any(row["item_id"] == "tea" for row in service.ask(path)[1]["data"]))
            time.sleep(0.5)
            assert not posted.done()
        assert posted.result()[0] == 200
        assert late.viewed("u") == ["tea"]


@pytest.mark.thorough
def test_after_a_merge_every_worker_answers_for_the_account(run: Run) -> None:
    with serving(run, "--workers", "2") as service, ExitStack() as stack:
        first, second = connect(service, stack)
        for number in range(3):
            guest = {"event_type": "view", "session_id": f"s{number}", "item_id": f"tea-{number}"}
            assert first.ask("/events?wait=true", guest)[0] == 200
            assert second.viewed("u") == [f"tea-{earlier}" for earlier in reversed(range(number))]
            assert first.ask("/users/merge", {"guest_id": f"s{number}", "user_id": "u"})[0] == 200
            assert second.viewed("u")[0] == f"tea-{number}"


@pytest.mark.thorough
def test_the_metrics_of_any_worker_count_the_requests_of_all(run: Run) -> None:
    with serving(run, "--workers", "2") as service, ExitStack() as stack:
        first, second = connect(service, stack)
        for worker, number in ((first, 3), (second, 4)):
            for _ in range(number):
                worker.viewed("u")
        until(lambda: first.requests() == second.requests() == 7)
        os.kill(second.pid, signal.SIGKILL)
        until(lambda: len({*pids_of_workers(service)} - {second.pid}) == 2)
        assert all(worker.requests() == 7 for worker in connect(service, stack))


def test_a_killed_worker_is_replaced_and_nobody_waits_for_it(run: Run) -> None:
    with serving(run, "--workers", "2") as service, ExitStack() as stack:
        victim, other = connect(service, stack)
        os.kill(victim.pid, signal.SIGKILL)
        assert other.ask("/events?wait=true", VIEW)[0] == 200
        until(lambda: len({*pids_of_workers(service)} - {victim.pid}) == 2)
        replaced, other = connect(service, stack)
        assert victim.pid not in (replaced.pid, other.pid)
        for worker in (replaced, other):
            assert worker.ask("/events?wait=true", VIEW | {"item_id": f"by-{worker.pid}"})[0] == 200
        assert [worker.viewed("u")[0] for worker in (replaced, other)] == [f"by-{other.pid}"] * 2


def test_all_workers_stop_in_time(run: Run) -> None:
    with serving(run, "--workers", "3") as service:
        until(lambda: len(pids_of_workers(service)) == 3)
        pids = pids_of_workers(service)
        assert service.stop() < 10
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


# Refused


def test_workers_need_a_server_and_kafka(tmp_path: Path) -> None:
    run = running(tmp_path / "data")
    assert_error(
        run("serve", "--workers", "2"), "it belongs to one process", "Set ALSOBOUGHT_DSN to a ClickHouse server"
    )
    assert_error(run("demo", ALSOBOUGHT_WORKERS="2"), "it belongs to one process")
    assert_error(
        run("serve", ALSOBOUGHT_WORKERS="4", ALSOBOUGHT_DSN="http://127.0.0.1:1"),
        "4 workers without Kafka",
        "ALSOBOUGHT_KAFKA",
    )
    assert not (tmp_path / "data").exists()


def test_workers_that_cannot_start_give_one_reason(server: Engine, tmp_path: Path) -> None:
    settings = {"ALSOBOUGHT_DSN": server.dsn, "ALSOBOUGHT_DATABASE": "empty", "ALSOBOUGHT_KAFKA": "127.0.0.1:1"}
    assert_error(running(tmp_path / "unused", **settings)("serve", "--workers", "4"), "migrations are not applied")
