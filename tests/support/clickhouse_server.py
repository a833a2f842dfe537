"""A ClickHouse server out of the package chdb: `python -m tests.support.clickhouse_server FOLDER` runs one until SIGTERM.

The extension of chdb is a whole clickhouse-local. Given a port in its config.xml, `system start listen` opens it, and the engine
behind it is that of a server: several clients, processes and connections, and data that survives a restart and kill -9. It has
no Keeper and no ON CLUSTER; users if its configuration names some. BACKUP may write below the folder for temporary files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.process import free_port
from tests.support.project import ROOT

START_SECONDS = 60.0
CONFIG = """<clickhouse>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{port}</http_port>
    <background_pool_size>16</background_pool_size>
    <background_distributed_schedule_pool_size>16</background_distributed_schedule_pool_size>
    <backups><allowed_path>{backups}</allowed_path></backups>
    {config}
</clickhouse>
"""
# The server lives as long as the query does.
FOREVER = """
system start listen {protocols};
select sleepEachRow(3) from numbers(1000000000)
settings max_block_size = 1, function_sleep_max_microseconds_per_block = 0
format Null
"""


@dataclass
class ClickHouseServer:
    """A server on a folder and a port, which keep what it stored and its address when it is killed and started again."""

    folder: Path
    port: int
    environment: Mapping[str, str] | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "tests.support.clickhouse_server", str(self.folder)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self.process.poll() is None, "the server ended"
            with suppress(OSError), urllib.request.urlopen(f"{self.dsn}/ping", timeout=5):
                return
            time.sleep(0.05)
        raise TimeoutError(self.dsn)

    def kill(self) -> None:
        """Kill -9: nothing is closed or flushed."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def clickhouse_server(
    folder: Path | None = None,
    *,
    tcp_port: int = 0,
    config: str = "",
    backups: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ClickHouseServer]:
    """A server, ready for queries, whose data is in this folder, or in one that goes with it.

    `config` is more of its configuration, as XML. With a `tcp_port`, other servers can ask it.
    """
    with TemporaryDirectory() as temporary:
        chosen = (folder or Path(temporary)).resolve()
        chosen.mkdir(parents=True, exist_ok=True)
        server = ClickHouseServer(chosen, free_port(), environment)
        config += f"<tcp_port>{tcp_port}</tcp_port>" if tcp_port else ""
        text = CONFIG.format(port=server.port, backups=backups or tempfile.gettempdir(), config=config)
        (chosen / "config.xml").write_text(text)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def main() -> None:
    from chdb import _chdb

    query: Callable[..., Any] = _chdb.query  # type: ignore[attr-defined]
    folder = Path(sys.argv[1])
    os.chdir(folder)  # it reads the config.xml of its working directory
    protocols = "queries all" if "<tcp_port>" in Path("config.xml").read_text() else "http"
    query(FOREVER.format(protocols=protocols), "TSV", path=str(folder / "data"))


if __name__ == "__main__":
    main()
