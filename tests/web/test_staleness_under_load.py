"""No answer is older than a second after the 202 of an event that concerns it, with readers and writers at work.

A violation is an answer without an event whose 202 had arrived more than MAX_STALENESS_SECONDS before the request was sent,
although a probe had seen it by then in an answer that is computed for each request: what the writer has not stored yet, on a busy
machine, is no fault of the cache. Both times are taken on the client's side, the 202 late and the request early, so that
measuring needs no allowance. How old answers were in all is printed: `pytest -s -m thorough`, on a quiet machine.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from alsobought.demo import toyshop
from alsobought.serving.cache import MAX_STALENESS_SECONDS
from tests.support.process import ServedProcess, running, serving

READERS, WRITERS = 8, 2
READ_PAUSE, WRITE_PAUSE, PROBE_PAUSE = 0.01, 0.05, 0.1
MAX_HISTORY = 3_000
ITEM, OTHER = next(iter(toyshop.COMPANIONS.items()))
PLACE = "laboratory"
START = datetime(2026, 1, 1, tzinfo=UTC)


class Writer:
    """Posts one event of each kind again and again; `accepted` are the times at which the 202 of each post had arrived."""

    def __init__(self, number: int) -> None:
        self.user = f"writer-{number}"
        self.accepted: list[float] = []
        self._numbers = itertools.count()

    def post(self) -> list[dict[str, Any]]:
        """The time of its view is the number of its post, so that an answer shows which posts it contains."""
        number = next(self._numbers)
        view = {"event_type": "view", "user_id": self.user, "item_id": ITEM}
        line = {"event_type": "purchase", "user_id": self.user, "order_id": f"{self.user}-{number}"}
        return [
            view | {"timestamp": (START + timedelta(milliseconds=number)).isoformat()},
            view | {"user_id": f"{self.user}-there", "properties": {"place": PLACE}},
            *(line | {"item_id": item} for item in (ITEM, OTHER)),
        ]


@dataclass
class Question:
    """A path, the posts that its answer should contain, and how many posts its rows contain.

    `visible` are the times from which on computed answers had at least so many posts.
    """

    path: str
    writers: list[Writer]
    count: Callable[[Any], int]
    begun: int = 0
    visible: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])

    def ask(self, client: Client, suffix: str = "") -> int:
        return self.count(client.ask(self.path + suffix)["data"]) - self.begun

    def missing(self, sent: float, contained: int) -> tuple[float, bool]:
        """How long ago the first missing post was accepted, and whether the cache is to blame for too old an answer."""
        accepted = sorted(at for writer in self.writers for at in list(writer.accepted) if at < sent)
        if contained >= len(accepted):
            return 0.0, False
        age = sent - accepted[contained]
        visible = max(posts for at, posts in list(self.visible) if at < sent)
        return age, age > MAX_STALENESS_SECONDS and visible > contained


def questions(writers: list[Writer]) -> list[Question]:
    def viewed(rows: Any) -> int:
        times = [datetime.fromisoformat(row["viewed_at"]) for row in rows]
        return 1 + round((max(times) - START) / timedelta(milliseconds=1)) if times else 0

    def counted(column: str, item_column: str, item: str) -> Callable[[Any], int]:
        return lambda rows: next((int(row[column]) for row in rows if row[item_column] == item), 0)

    return [
        Question(f"/pipes/also_bought?item_id={ITEM}&limit=3", writers, counted("baskets", "other_item_id", OTHER)),
        Question(f"/pipes/trending?place={PLACE}&hours=168&limit=1", writers, counted("events", "item_id", ITEM)),
        *(Question(f"/pipes/recently_viewed?user_id={writer.user}", [writer], viewed) for writer in writers),
    ]


class Client:
    """One connection, kept alive: cached answers come from the event loop."""

    def __init__(self, service: ServedProcess) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body, default=str)
        self._connection.request("POST" if data else "GET", path, data)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        assert response.status < 300, answer
        return answer


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [6, 60])
def test_no_answer_is_older_than_the_bound(tmp_path: Path, seconds: int) -> None:
    with serving(running(tmp_path / "data")) as service:
        with Client(service) as client:
            client.ask("/items", list(toyshop.items()))
            client.ask("/events?wait=true", list(toyshop.history(datetime.now(UTC)))[-MAX_HISTORY:])
        measured = Measured(service)
        measured.run(seconds)
        hits = cache_counts(service)
    print(f"{measured.answers:,} answers, the oldest {measured.age:.2f} s behind; {hits}")  # noqa: T201
    assert measured.violations == []
    assert measured.answers > 20 * seconds
    assert hits["stale_hit"] > 0


class Measured:
    """The readers, the writers, a probe, and what they observed. `age` is that of the oldest answer, in seconds."""

    def __init__(self, service: ServedProcess) -> None:
        self._service, self._done, self._failures = service, threading.Event(), list[BaseException]()
        self.age, self.answers, self.violations = 0.0, 0, list[str]()
        self._lock = threading.Lock()
        self._writers = [Writer(number) for number in range(WRITERS)]
        self._questions = questions(self._writers)
        with Client(service) as client:
            for writer in self._writers * 10:  # so that each row is there from the beginning on
                client.ask("/events?wait=true", writer.post())
                writer.accepted.append(0.0)
            for question in self._questions:
                question.begun = question.ask(client) - 10 * len(question.writers)

    def run(self, seconds: float) -> None:
        readers = [partial(self._read, number) for number in range(READERS)]
        runs = [*readers, self._probe, *(partial(self._write, writer) for writer in self._writers)]
        threads = [threading.Thread(target=self._guarded, args=(run,)) for run in runs]
        for thread in threads:
            thread.start()
        self._done.wait(seconds)
        self._done.set()
        for thread in threads:
            thread.join()
        assert not self._failures

    def _guarded(self, run: Callable[[Client], None]) -> None:
        try:
            with Client(self._service) as client:
                run(client)
        except BaseException as error:
            self._failures.append(error)
            self._done.set()
            raise

    def _write(self, writer: Writer, client: Client) -> None:
        while not self._done.wait(WRITE_PAUSE):
            client.ask("/events", writer.post())
            writer.accepted.append(time.monotonic())

    def _probe(self, client: Client) -> None:
        """Asks under another key of the cache, so that it refreshes nothing that readers get."""
        for question in itertools.cycle(self._questions):
            if self._done.wait(PROBE_PAUSE):
                return
            posts = question.ask(client, "&category=&fresh=true")
            question.visible.append((time.monotonic(), posts))

    def _read(self, number: int, client: Client) -> None:
        for question in itertools.islice(itertools.cycle(self._questions), number, None):
            if self._done.wait(READ_PAUSE):
                return
            sent = time.monotonic()
            contained = question.ask(client)
            age, violates = question.missing(sent, contained)
            with self._lock:
                self.answers += 1
                self.age = max(self.age, age)
                if violates:
                    self.violations.append(f"{question.path}: {age:.2f} s old")


def cache_counts(service: ServedProcess) -> dict[str, float]:
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    prefix = 'alsobought_cache_requests_total{outcome="'
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith(prefix)}
