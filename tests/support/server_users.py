"""A ClickHouse server out of the package chdb, with the users of docker-compose.yml."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.support.process import free_port
from tests.support.project import ROOT

PASSWORDS = {"alsobought": "writes", "alsobought_migrator": "migrates", "alsobought_reader": "reads"}
VARIABLES = {
    "alsobought": "CLICKHOUSE_PASSWORD_SHA256",
    "alsobought_migrator": "CLICKHOUSE_MIGRATOR_PASSWORD_SHA256",
    "alsobought_reader": "CLICKHOUSE_READER_PASSWORD_SHA256",
}
SERVER = """
import os, sys
from chdb import _chdb
os.chdir(sys.argv[1])
wait = "select sleepEachRow(3) from numbers(100000000)"
wait += " settings max_block_size = 1, function_sleep_max_microseconds_per_block = 0 format Null"
_chdb.query("system start listen queries all; " + wait, "TSV", path=sys.argv[1] + "/data")
"""
CLUSTER = "shop"
STRICT = """
<select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
<select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
<table_engines_require_grant>true</table_engines_require_grant>
"""


def _cluster(port: int) -> str:
    """Of this server as the only shard."""
    replica = f"<host>127.0.0.1</host><port>{port}</port><user>alsobought</user><password>{PASSWORDS['alsobought']}</password>"
    shard = f"<shard><replica>{replica}</replica></shard>"
    return f"<remote_servers><{CLUSTER}>{shard}</{CLUSTER}></remote_servers>"


@contextmanager
def server_with_users(folder: Path) -> Iterator[str]:
    """Its address, host and port. It may write backups to `backups` in the folder.

    It is as strict about system tables and engines as a server's default configuration."""
    port, tcp_port = free_port(), free_port()
    tree = ET.parse(ROOT / "sql" / "server" / "users.xml")  # noqa: S314
    default = tree.getroot().find("users/default")
    assert default is not None
    ET.SubElement(default, "password")
    ET.SubElement(default, "profile").text = "default"
    profiles = tree.getroot().find("profiles")
    assert profiles is not None
    ET.SubElement(profiles, "default")
    ET.SubElement(ET.SubElement(tree.getroot(), "quotas"), "default")
    tree.write(folder / "users.xml")
    (folder / "config.xml").write_text(
        f"<clickhouse><listen_host>127.0.0.1</listen_host><http_port>{port}</http_port>"
        f"<access_control_improvements>{STRICT}</access_control_improvements>"
        f"<tcp_port>{tcp_port}</tcp_port>{_cluster(tcp_port)}"
        f"<backups><allowed_path>{folder}/backups</allowed_path></backups>"
        f"<users_config>{folder}/users.xml</users_config></clickhouse>"
    )
    hashes = {VARIABLES[name]: hashlib.sha256(word.encode()).hexdigest() for name, word in PASSWORDS.items()}
    process = subprocess.Popen(
        (sys.executable, "-c", SERVER, str(folder)), env=hashes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            try:
                urlopen(f"http://127.0.0.1:{port}/ping").close()
                break
            except (HTTPError, OSError):
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def dsn(user: str, address: str) -> str:
    return f"http://{user}:{PASSWORDS[user]}@{address}"
