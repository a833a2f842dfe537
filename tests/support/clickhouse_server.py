"""A ClickHouse server out of the package chdb: `python -m tests.support.clickhouse_server FOLDER PORT XML` runs one until SIGTERM.

The extension of chdb is a whole clickhouse-local. Given a port in its config.xml, `system start listen` opens it, and the engine
behind it is that of a server: several clients, processes and connections, and data that survives a restart. It has no users,
no Keeper and no ON CLUSTER. BACKUP may write below the folder for temporary files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.process import free_port
from tests.support.project import ROOT

START_SECONDS = 60.0
CONFIG = """<clickhouse>
    <listen_host>127.0.0.1</listen_host>
    <http_port>{port}</http_port>
    {more}
    <background_pool_size>16</background_pool_size>
    <background_distributed_schedule_pool_size>16</background_distributed_schedule_pool_size>
    <backups><allowed_path>{backups}</allowed_path></backups>
</clickhouse>
"""
# The server lives as long as the query does.
FOREVER = """
system start listen queries all;
select sleepEachRow(3) from numbers(1000000000)
settings max_block_size = 1, function_sleep_max_microseconds_per_block = 0
format Null
"""


@dataclass(frozen=True)
class ClickHouseServer:
    process: subprocess.Popen[bytes]
    dsn: str


@contextmanager
def clickhouse_server(folder: Path, *, tcp_port: int = 0, config: str = "") -> Iterator[ClickHouseServer]:
    """A server whose data is in this folder, ready for queries. `config` is more of its configuration, as XML."""
    port = free_port()
    more = (f"<tcp_port>{tcp_port}</tcp_port>" if tcp_port else "") + config
    command = [sys.executable, "-m", "tests.support.clickhouse_server", str(folder), str(port), more]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        _await(process, f"http://127.0.0.1:{port}/ping")
        yield ClickHouseServer(process, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        assert process.poll() is None, "the server ended"
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.05)
    raise TimeoutError(url)


def main() -> None:
    from chdb import _chdb

    query: Callable[..., Any] = _chdb.query  # type: ignore[attr-defined]

    folder, port, more = Path(sys.argv[1]).resolve(), int(sys.argv[2]), sys.argv[3]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.xml").write_text(CONFIG.format(port=port, more=more, backups=tempfile.gettempdir()))
    os.chdir(folder)  # it reads the config.xml of its working directory
    query(FOREVER, "TSV", path=str(folder / "data"))


if __name__ == "__main__":
    main()
