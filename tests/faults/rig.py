"""What every fault of the way from Kafka is tried on: topics of its own, a warehouse, ingesters, a stream, and the proof.

    rig.flow(2000); victim = rig.ingester(); …; rig.settle("kill -9", tries=1)

`settle` sends one more event to each partition, waits until they are noted as read, which takes the recovery's time, ends
the ingesters and proves every row. Results go to the file that FAULTS_RESULTS names, also of a fault that was not survived.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.request import Request, urlopen

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from alsobought.kafka.client import EVENT_PARTITIONS as PARTITIONS
from alsobought.kafka.client import bounds
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from tests.faults.mixed import Message, mixed
from tests.faults.proof import Found, Log, answered, proof, read_log
from tests.support.engines import migrate
from tests.support.kafka import Topics
from tests.support.process import free_port
from tests.support.project import ROOT

THOROUGH = int(os.environ.get("KILLS", "4")) >= 30
RESULTS = "FAULTS_RESULTS"
PATIENCE = 60.0


@dataclass
class Ingester:
    """`alsobought ingest` in a process of its own, its words in a file."""

    process: subprocess.Popen[str]
    words: Path
    file: IO[str]

    @property
    def said(self) -> str:
        return self.words.read_text()

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def killed(self, seconds: float = PATIENCE) -> None:
        """Waits until it died of kill -9 by itself, at its fail-point."""
        status = self.process.wait(seconds)
        assert status == -signal.SIGKILL, self.said

    def kill(self) -> None:
        """With its children: of `serve` it is the worker that holds the warehouse."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.runs:
            self.thaw()
            self.kill()
        self.file.close()


@dataclass
class Rig:
    topics: Topics
    folder: Path
    dsn: str
    settings: dict[str, str] = field(default_factory=dict)
    stream: Iterator[Message] = field(default_factory=mixed)
    ingesters: list[Ingester] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def database(self) -> str:
        return self.topics.name

    @property
    def ours(self) -> Settings:
        return Settings(**self.topics.settings, dsn=self.dsn, database=self.database)  # type: ignore[arg-type]

    def environment(self, **more: str) -> dict[str, str]:
        outside = {name: value for name, value in os.environ.items() if not name.startswith("ALSOBOUGHT_")}
        ours = {"PYTHONPATH": str(ROOT), "ALSOBOUGHT_DSN": self.dsn, "ALSOBOUGHT_DATABASE": self.database}
        ours |= {"ALSOBOUGHT_BATCH_ROWS": "500", "ALSOBOUGHT_PORT": str(free_port())}
        return {**outside, **ours, **self.topics.environment, **self.settings, **more}

    def flow(self, count: int = 2000, *, spread: bool = False) -> None:
        """So many messages more of the stream, each under its user's key; `spread` over all partitions instead."""
        messages = list(itertools.islice(self.stream, count))
        if spread:
            for number in range(6):
                self.topics.send(*messages[number::6], partition=number)
        else:
            self.topics.send(*messages)

    @contextmanager
    def flowing(self, count: int = 100, **how: bool) -> Iterator[None]:
        """Messages come all the time: so many, again and again."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(0.5):
                self.flow(count, **how)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(PATIENCE)

    def ingester(self, point: str = "", words: Sequence[str] = ("ingest",), **settings: str) -> Ingester:
        """One more, which is killed at this fail-point."""
        if point:
            settings["ALSOBOUGHT_FAILPOINT"] = point
        path = self.folder / f"ingester{next(self.numbers)}.log"
        file = path.open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "alsobought", *words],
            env=self.environment(**settings),
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.ingesters.append(Ingester(process, path, file))
        return self.ingesters[-1]

    @property
    def said(self) -> str:
        return "\n".join(f"--- {one.words.name}\n{one.said[-3000:]}" for one in self.ingesters)

    def wait(self, found: Callable[[], object], seconds: float = PATIENCE) -> float:
        """Waits for something; the seconds it took. Fails with what the ingesters said."""
        began = time.monotonic()
        while not found():
            assert time.monotonic() < began + seconds, self.said
            time.sleep(0.2)
        return time.monotonic() - began

    def more(self, messages: int) -> None:
        """Waits until so many messages more are noted as read."""
        wanted = max(0, self.read()) + messages
        self.wait(lambda: self.read() >= wanted)

    def read(self) -> int:
        """Messages of the events' topic that are noted as read: in the ranges of a server, else in Kafka; -1 if that is away."""
        if self.dsn.startswith("http"):
            ranges = f"{{db}}.ingest_ranges where source like 'kafka:{self.ours.events_topic}:%' group by partition"
            return int(self.ask(f"select sum(next) from (select max(next_offset) as next from {ranges})"))
        return self.committed()

    def committed(self) -> int:
        """The same as Kafka knows it."""
        name = self.ours.events_topic
        asking = Consumer({"bootstrap.servers": self.ours.kafka, "group.id": self.ours.kafka_group, "log_level": 0})
        try:
            with suppress(KafkaException):
                told = asking.committed([TopicPartition(name, number) for number in range(PARTITIONS)], timeout=5)
                return sum(max(0, one.offset) for one in told)
            return -1
        finally:
            asking.close()

    def ends(self) -> dict[int, int]:
        """{partition: the offset that its next message gets}"""
        places = [(self.ours.events_topic, number) for number in range(PARTITIONS)]
        return {place[1]: end for place, (_, end) in answered(lambda: bounds(self.ours, places)).items()}

    def drained(self, seconds: float = PATIENCE) -> float:
        """Seconds until an event that is sent now to each partition is noted as read, and so all that came before."""
        began = time.monotonic()
        for number in range(PARTITIONS):
            event = {"event_type": "view", "user_id": f"last{number}", "item_id": "last", "category": "Garden"}
            at = {"timestamp": "2025-12-24T12:00:00+00:00", "event_id": f"last{next(self.numbers)}"}
            self.topics.send({**event, **at}, partition=number)
        wanted = sum(self.ends().values())
        self.wait(lambda: self.read() >= wanted, seconds)
        return time.monotonic() - began

    def ask(self, sql: str) -> str:
        """A statement for the server, by HTTP, past any proxy."""
        request = Request(self.dsn, sql.replace("{db}", self.database).encode(), {"Content-Type": "text/plain"})
        with urlopen(request, timeout=30) as answer:
            return str(answer.read().decode().strip())

    def settle(self, fault: str, tries: int = 1, seconds: float | None = None, **log: Any) -> Found:
        """Ends the ingesters once they read everything, and proves what is stored. `seconds`: how long recovery took, if known."""
        took = self.drained()
        for one in self.ingesters:
            if one.runs:
                assert one.stop() == 0, one.said
        return self.prove(fault, tries, took if seconds is None else seconds, **log)

    def prove(self, fault: str, tries: int, seconds: float, log: Log | None = None) -> Found:
        found = self._proof(log or read_log(self.ours))
        record(fault, tries, found, seconds)
        assert found.wrong == [], (fault, found, self.said)
        assert found.stored
        return found

    def _proof(self, log: Log) -> Found:
        if not self.dsn.startswith("chdb:"):
            warehouse = open_warehouse(Settings(dsn=self.dsn, database=self.database), create=False)
            try:
                return proof(log, warehouse)
            finally:
                warehouse.close()
        path = self.folder / "log.json"
        path.write_bytes(msgspec.json.encode(log))
        ran = subprocess.run(
            [sys.executable, "-m", "tests.faults.proof", str(path), self.dsn, self.database],
            capture_output=True,
            check=False,
            cwd=ROOT,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return msgspec.json.decode(ran.stdout, type=Found)


@contextmanager
def rig(topics: Topics, folder: Path, dsn: str = "", **settings: str) -> Iterator[Rig]:
    """On a folder, or on a server, whose database is migrated first. The topics are made."""
    topics.make()
    made = Rig(topics, folder, dsn or f"chdb://{folder}/shop")
    made.settings = {f"ALSOBOUGHT_{name.upper()}": value for name, value in settings.items()}
    if made.dsn.startswith("http"):
        migrate(made.ours)
    with ExitStack() as stack:
        try:
            yield made
        finally:
            for one in made.ingesters:
                stack.callback(one.close)


def record(fault: str, tries: int, found: Found, seconds: float) -> None:
    """One line for the table of benchmarks/faults.md."""
    if path := os.environ.get(RESULTS):
        line = {"fault": fault, "tries": tries, "lost": found.lost, "doubled": found.doubled, "wrong": len(found.wrong)}
        with Path(path).open("a") as file:
            file.write(json.dumps({**line, "seconds": round(seconds, 2)}) + "\n")
