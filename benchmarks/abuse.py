"""Abuse a service, and measure what others notice of it: light requests meanwhile, memory, and the time until it has recovered.

    .venv/bin/python -m benchmarks.abuse [--megabytes 1536] [--only TEXT]

Serves a small shop on 127.0.0.1, in a control group of that memory where this user may make one, and lets clients attack it one
after the other, each for at most ten seconds. Writes abuse.md, unless --only names some of them.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from alsobought.storage.machine_memory import usable_memory
from tests.support.process import free_port
from tests.support.project import project_folder

HERE = Path(__file__).resolve().parent
SECONDS = 10.0
BODIES = 30
SLOW = """-- Slow.
--
-- :seed UInt32 = 0  makes each request another one

select sum(arraySum(arrayMap(n -> sipHash64(user_id, properties, n + {{ seed }}) % 7, range(20)))) as total
from events
order by total
limit 1
"""
BUSY = """-- Slow, and not heavy: it reads little.
--
-- :seed UInt32 = 0  makes each request another one

select sum(arraySum(arrayMap(n -> sipHash64(user_id, n + {{ seed }}) % 7, range(300)))) as total
from events
where event_type = 'purchase'
order by total
limit 1
"""
WIDE = """-- Millions of rows.
--
-- :seed UInt32 = 0  makes each request another one

select user_id, item_id, order_id, session_id, n + {{ seed }} as number
from events
array join range(100) as n
order by number
"""
CHUNKED = b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


class Service:
    """A served shop; `worker` is the process that answers."""

    def __init__(self, folder: Path, group: Path | None) -> None:
        home = project_folder(folder / "home", "pipes", "sql", "migrations")
        (home / "pipes" / "slow.sql").write_text(SLOW)
        (home / "pipes" / "busy.sql").write_text(BUSY)
        (home / "pipes" / "wide.sql").write_text(WIDE)
        self.port, self.failed = free_port(), list[str]()
        settings = {"ALSOBOUGHT_HOME": home, "ALSOBOUGHT_DATA": folder / "data", "ALSOBOUGHT_PORT": self.port}
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        enter = (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "alsobought", "serve"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=(folder / "log").open("w"),
            text=True,
            preexec_fn=enter,  # noqa: PLW1509 - no threads yet
        )
        if not self.process.stdout or not self.process.stdout.readline().startswith("Listening"):
            raise SystemExit((folder / "log").read_text())
        for start in range(0, 20_000, 5_000):
            self.post("/events?wait=true", lines(start, start + 5_000, properties={"text": "x" * 500}))
        self.light()

    @property
    def worker(self) -> int:
        children = subprocess.run(
            ["/usr/bin/pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return int((children.stdout.split() or ["0"])[0])

    def memory(self) -> float:
        """Megabytes of the worker."""
        with contextlib.suppress(OSError, StopIteration):
            status = Path(f"/proc/{self.worker}/status").read_text()
            return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
        return 0.0

    def light(self) -> float:
        """Seconds of `/healthz` and of a light pipe, the slower of both; errors are counted in `failed`."""
        worst = 0.0
        for path in ("/healthz", "/pipes/popular?limit=1"):
            started = time.monotonic()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                    response.read()
            except OSError as error:
                self.failed.append(f"{path}: {error}")
            worst = max(worst, time.monotonic() - started)
        return worst

    def post(self, path: str, body: bytes, **headers: str) -> int:
        """The status; 0 if the connection ended before."""
        try:
            address = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=60) as response:
                response.read()
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def connected(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


def lines(first: int, end: int, **fields: object) -> bytes:
    events = (
        {
            "event_type": "purchase",
            "user_id": f"u{n % 500}",
            "item_id": f"i{n % 3_000}",
            "order_id": f"o{n // 5}",
            **fields,
        }
        for n in range(first, end)
    )
    return "\n".join(map(json.dumps, events)).encode()


Attack = Callable[[Service, float], None]
"""Attacks until the given monotonic time."""


def at_once(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def holding(number: int, sent: bytes, drip: bytes = b"") -> Attack:
    """Connections that send this, then a little every second, and read nothing."""

    def attack(service: Service, until: float) -> None:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(closing(service.connected())) for _ in range(number)]
            for sock in held:
                sock.sendall(sent)
            while time.monotonic() < until:
                for sock in held if drip else ():
                    with contextlib.suppress(OSError):
                        sock.sendall(drip)
                time.sleep(1)

    return attack


def posting(path: str, bodies: Callable[[], list[bytes]], **headers: str) -> Attack:
    """All these bodies at the same time."""

    def attack(service: Service, _: float) -> None:
        at_once([threading.Thread(target=service.post, args=(path, body), kwargs=headers) for body in bodies()])

    return attack


def asking(path: str, number: int) -> Attack:
    """As many different questions at the same time."""

    def attack(service: Service, _: float) -> None:
        at_once([threading.Thread(target=service.post, args=(f"{path}?seed={seed}", b"{}")) for seed in range(number)])

    return attack


def hanging_up(service: Service, _: float) -> None:
    for seed in range(500):
        with closing(service.connected()) as sock:
            sock.sendall(b"GET /pipes/slow?seed=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % seed)


def merges(number: int) -> list[bytes]:
    calls = (
        {"type": "identify", "userId": f"u{n}", "anonymousId": f"guest{n}", "messageId": f"m{n}"} for n in range(number)
    )
    return ["\n".join(map(json.dumps, calls)).encode()]


def endless(service: Service, until: float) -> None:
    def feed() -> None:
        with closing(service.connected()) as sock, contextlib.suppress(OSError):
            sock.sendall(CHUNKED)
            while time.monotonic() < until:
                sock.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")

    at_once([threading.Thread(target=feed) for _ in range(8)])


def large(number: int) -> list[bytes]:
    """Bodies of 16 MB, of events with 60,000 bytes each."""
    return [lines(250 * n, 250 * n + 250, properties={"text": "x" * 60_000}) for n in range(number)]


CASES: dict[str, Attack] = {
    "8 posts that drip a byte a second": holding(8, CHUNKED + b"1\r\n[\r\n", b"1\r\n \r\n"),
    "200 posts that drip": holding(200, CHUNKED + b"1\r\n[\r\n", b"1\r\n \r\n"),
    "200 heads that drip": holding(200, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: ", b"a"),
    "100 that ask 40 times and read nothing": holding(
        100, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40
    ),
    "1,100 idle connections": holding(1_100, b""),
    "5,000 kept alive": holding(5_000, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "8 endless bodies": endless,
    "500 slow requests, hung up": hanging_up,
    "60 slow requests": asking("/pipes/slow", 60),
    "60 slow requests of a pipe that reads little": asking("/pipes/busy", 60),
    "300 of them": asking("/pipes/busy", 300),
    "30 answers of 2 million rows": asking("/pipes/wide", BODIES),
    "4 bodies of 8 million bad lines": posting("/events", lambda: [b"x\n" * 8_000_000] * 4),
    "4 arrays of 8 million numbers": posting("/events", lambda: [b"[" + b"1," * 8_000_000 + b"1]"] * 4),
    "8 gzip bombs of 1 GB": posting("/events", lambda: [gzip.compress(b" " * 1_000_000_000, 1)] * 8),
    "a webhook's body of 40,000 merges": posting("/events/segment", lambda: merges(40_000)),
    "one order of 200,000 lines": posting(
        "/events?wait=true",
        lambda: [lines(n, n + 50_000, order_id="o", user_id="u") for n in range(0, 200_000, 50_000)],
    ),
    "one visit of 200,000 events": posting(
        "/events?wait=true",
        lambda: [
            lines(n, n + 50_000, session_id="s", order_id="", event_type="view") for n in range(0, 200_000, 50_000)
        ],
    ),
    "30 bodies of 16 MB": posting("/events", lambda: large(BODIES)),
    "30 bodies of 50,000 events": posting(
        "/events", lambda: [lines(50_000 * n, 50_000 * n + 50_000) for n in range(BODIES)]
    ),
}


def measure(service: Service, attack: Attack) -> list[str]:
    """The cells of a row."""
    before, ended = service.worker, threading.Event()
    service.failed.clear()

    def run() -> None:
        attack(service, time.monotonic() + SECONDS)
        ended.set()

    attacker = threading.Thread(target=run)
    attacker.start()
    taken: list[float] = []
    peak = 0.0
    while not ended.is_set() and len(taken) < 2_000:
        taken.append(service.light())
        peak = max(peak, service.memory())
        ended.wait(0.05)
    attacker.join()
    started = time.monotonic()
    while (last := service.light()) > 0.2 and time.monotonic() - started < 60:
        peak = max(peak, service.memory())
    recovered = time.monotonic() - started - last
    p99 = statistics.quantiles(taken, n=100, method="inclusive")[98] if len(taken) > 1 else taken[0]
    replaced = "" if service.worker == before else " (replaced)"
    return [
        f"{1000 * statistics.median(taken):.0f}",
        f"{1000 * p99:.0f}",
        f"{1000 * max(taken):.0f}",
        f"{len(service.failed)} of {2 * len(taken)}",
        f"{peak:.0f}{replaced}",
        f"{max(recovered, 0):.1f}",
    ]


@contextmanager
def control_group(megabytes: int) -> Iterator[Path | None]:
    """A group of this memory inside our own, or None where we may not make one."""
    paths = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    inside = next((path for _, controllers, path in paths if controllers == "memory"), None)
    root, limit = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"
    if inside is None:
        inside, root, limit = (
            next(path for _, controllers, path in paths if not controllers),
            Path("/sys/fs/cgroup"),
            "memory.max",
        )
    group = root / inside.strip("/") / f"abuse-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(megabytes << 20))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        time.sleep(1)
        with contextlib.suppress(OSError):
            group.rmdir()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1536, help="memory of the service")
    parser.add_argument("--only", default="", help="the cases with this text in their name")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    rows = []
    with control_group(options.megabytes) as group, tempfile.TemporaryDirectory() as folder:
        service = Service(Path(folder), group)
        try:
            for name, attack in CASES.items():
                if options.only not in name:
                    continue
                rows.append([name, *measure(service, attack)])
                print("  ".join(rows[-1]), *service.failed[:3], sep="  ", flush=True)
        finally:
            service.process.terminate()
            service.process.wait(30)
    if options.only:
        return
    memory = (
        f"{options.megabytes:,} MB" if group else f"{usable_memory() >> 20:,} MB, since no control group could be made"
    )
    heads = ["abuse", "median ms", "p99 ms", "worst ms", "errors", "peak MB", "recovered after s"]
    table = [heads, ["---"] * len(heads), *rows]
    text = [
        "# Abuse",
        "",
        f"`python -m benchmarks.abuse`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()},"
        f" memory {memory}.",
        "",
        "Milliseconds of the slower of `/healthz` and `/pipes/popular` while the abuse lasts, at most ten seconds where it has no",
        "end of its own. Attackers and service share the machine. *(replaced)*: the process ended and gunicorn started another.",
        "",
        *(f"| {' | '.join(row)} |" for row in table),
    ]
    (HERE / "abuse.md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
