"""The rig of the fault tests: topics of its own, a warehouse, ingester processes, a stream, and the proof.

    rig.send(2000); victim = rig.ingester(); …; rig.finish("kill -9", tries=1)

`finish` sends one more event to each partition, waits until they are checkpointed, which takes as long
as the recovery, stops the ingesters and proves every row. Results are appended to the file that
FAULTS_RESULTS names, also when the proof fails.
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
from alsobought.kafka.client import offset_bounds
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from tests.faults.mixed import Message, mixed
from tests.faults.proof import Findings, TopicLog, prove, read_log, retried
from tests.support.engines import migrate
from tests.support.kafka import Topics
from tests.support.process import free_port
from tests.support.project import ROOT

THOROUGH = int(os.environ.get("KILLS", "4")) >= 30
RESULTS = "FAULTS_RESULTS"
TIMEOUT_SECONDS = 60.0


@dataclass
class Ingester:
    """`alsobought ingest` in a process of its own, with its output in a file."""

    process: subprocess.Popen[str]
    path: Path
    file: IO[str]

    @property
    def output(self) -> str:
        return self.path.read_text()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def wait_for_kill(self, seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait until it dies of kill -9 at its fail-point."""
        status = self.process.wait(seconds)
        assert status == -signal.SIGKILL, self.output

    def kill(self) -> None:
        """Kill it with its children: the warehouse of `serve` is open in its worker."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def suspend(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> int:
        """Send SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_SECONDS)

    def close(self) -> None:
        if self.running:
            self.resume()
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
    def app_settings(self) -> Settings:
        return Settings(**self.topics.settings, dsn=self.dsn, database=self.database)  # type: ignore[arg-type]

    def environment(self, **settings: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ALSOBOUGHT_")}
        ours = {"PYTHONPATH": str(ROOT), "ALSOBOUGHT_DSN": self.dsn, "ALSOBOUGHT_DATABASE": self.database}
        ours |= {"ALSOBOUGHT_BATCH_ROWS": "500", "ALSOBOUGHT_PORT": str(free_port())}
        return {**inherited, **ours, **self.topics.environment, **self.settings, **settings}

    def send(self, count: int = 2000, *, spread: bool = False) -> None:
        """Send the next messages of the stream, each under its user's key; with `spread` over all partitions."""
        messages = list(itertools.islice(self.stream, count))
        if spread:
            for number in range(6):
                self.topics.send(*messages[number::6], partition=number)
        else:
            self.topics.send(*messages)

    @contextmanager
    def sending(self, count: int = 100, *, spread: bool = False) -> Iterator[None]:
        """Keep sending: `count` messages every half second."""
        ended = threading.Event()

        def run() -> None:
            while not ended.wait(0.5):
                self.send(count, spread=spread)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(TIMEOUT_SECONDS)

    def ingester(self, point: str = "", command: Sequence[str] = ("ingest",), **settings: str) -> Ingester:
        """Start one more, which is killed at this fail-point."""
        if point:
            settings["ALSOBOUGHT_FAILPOINT"] = point
        path = self.folder / f"ingester{next(self.numbers)}.log"
        file = path.open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "alsobought", *command],
            env=self.environment(**settings),
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.ingesters.append(Ingester(process, path, file))
        return self.ingesters[-1]

    @property
    def output(self) -> str:
        return "\n".join(f"--- {ingester.path.name}\n{ingester.output[-3000:]}" for ingester in self.ingesters)

    def wait(self, condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> float:
        """Wait for a condition; returns the seconds. Fails with the output of the ingesters."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() < began + seconds, self.output
            time.sleep(0.2)
        return time.monotonic() - began

    def wait_for_more(self, messages: int) -> None:
        """Wait until `messages` more are checkpointed."""
        target = max(0, self.consumed()) + messages
        self.wait(lambda: self.consumed() >= target)

    def consumed(self) -> int:
        """Consumed messages of the events topic: by the checkpoints of a server, else as committed to Kafka.

        -1 while Kafka is unavailable.
        """
        if self.dsn.startswith("http"):
            ranges = (
                f"{{db}}.ingest_ranges where source like 'kafka:{self.app_settings.events_topic}:%' group by partition"
            )
            return int(self.query(f"select sum(next) from (select max(next_offset) as next from {ranges})"))
        return self.committed()

    def committed(self) -> int:
        """The sum of the offsets that are committed to Kafka, -1 while it is unavailable."""
        name = self.app_settings.events_topic
        settings = self.app_settings
        consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": settings.kafka_group, "log_level": 0})
        try:
            with suppress(KafkaException):
                partitions = consumer.committed(
                    [TopicPartition(name, number) for number in range(PARTITIONS)], timeout=5
                )
                return sum(max(0, partition.offset) for partition in partitions)
            return -1
        finally:
            consumer.close()

    def ends(self) -> dict[int, int]:
        """{partition: the offset of its next message}"""
        partitions = [(self.app_settings.events_topic, number) for number in range(PARTITIONS)]
        bounds = retried(lambda: offset_bounds(self.app_settings, partitions))
        return {number: end for (_, number), (_, end) in bounds.items()}

    def drain(self, seconds: float = TIMEOUT_SECONDS) -> float:
        """Send an event to each partition and wait until they are checkpointed; returns the seconds."""
        began = time.monotonic()
        for number in range(PARTITIONS):
            event = {"event_type": "view", "user_id": f"last{number}", "item_id": "last", "category": "Garden"}
            at = {"timestamp": "2025-12-24T12:00:00+00:00", "event_id": f"last{next(self.numbers)}"}
            self.topics.send({**event, **at}, partition=number)
        target = sum(self.ends().values())
        self.wait(lambda: self.consumed() >= target, seconds)
        return time.monotonic() - began

    def query(self, sql: str) -> str:
        """Run a statement on the server over HTTP, past any proxy."""
        request = Request(self.dsn, sql.replace("{db}", self.database).encode(), {"Content-Type": "text/plain"})
        with urlopen(request, timeout=30) as answer:
            return str(answer.read().decode().strip())

    def finish(self, fault: str, tries: int = 1, seconds: float | None = None, **log: Any) -> Findings:
        """Stop the ingesters once they consumed everything, and prove the rows.

        `seconds` is the time of the recovery; by default it is measured here.
        """
        drain_seconds = self.drain()
        for ingester in self.ingesters:
            if ingester.running:
                assert ingester.stop() == 0, ingester.output
        return self.prove(fault, tries, drain_seconds if seconds is None else seconds, **log)

    def prove(self, fault: str, tries: int, seconds: float, log: TopicLog | None = None) -> Findings:
        findings = self._findings(log or read_log(self.app_settings))
        record(fault, tries, findings, seconds)
        assert findings.problems == [], (fault, findings, self.output)
        assert findings.stored
        return findings

    def _findings(self, log: TopicLog) -> Findings:
        if not self.dsn.startswith("chdb:"):
            warehouse = open_warehouse(Settings(dsn=self.dsn, database=self.database), create=False)
            try:
                return prove(log, warehouse)
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
        return msgspec.json.decode(ran.stdout, type=Findings)


@contextmanager
def rig(topics: Topics, folder: Path, dsn: str = "", **settings: str) -> Iterator[Rig]:
    """A rig on a folder, or on a server, whose database is migrated. The topics are created."""
    topics.create()
    made = Rig(topics, folder, dsn or f"chdb://{folder}/shop")
    made.settings = {f"ALSOBOUGHT_{name.upper()}": value for name, value in settings.items()}
    if made.dsn.startswith("http"):
        migrate(made.app_settings)
    with ExitStack() as stack:
        try:
            yield made
        finally:
            for ingester in made.ingesters:
                stack.callback(ingester.close)


def record(fault: str, tries: int, findings: Findings, seconds: float) -> None:
    """Append a line for the table of benchmarks/faults.md."""
    if path := os.environ.get(RESULTS):
        counts = {"lost": findings.lost, "doubled": findings.duplicated, "wrong": len(findings.problems)}
        line = {"fault": fault, "tries": tries, **counts}
        with Path(path).open("a") as file:
            file.write(json.dumps({**line, "seconds": round(seconds, 2)}) + "\n")
