"""A ClickHouse server out of the package chdb, with the users of docker-compose.yml."""

from __future__ import annotations

import hashlib
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import free_port
from tests.support.project import ROOT

PASSWORDS = {"alsobought": "writes", "alsobought_migrator": "migrates", "alsobought_reader": "reads"}
VARIABLES = {
    "alsobought": "CLICKHOUSE_PASSWORD_SHA256",
    "alsobought_migrator": "CLICKHOUSE_MIGRATOR_PASSWORD_SHA256",
    "alsobought_reader": "CLICKHOUSE_READER_PASSWORD_SHA256",
}
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
    tcp_port = free_port()
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
    config = f"<access_control_improvements>{STRICT}</access_control_improvements>{_cluster(tcp_port)}"
    config += f"<users_config>{folder}/users.xml</users_config>"
    hashes = {VARIABLES[name]: hashlib.sha256(word.encode()).hexdigest() for name, word in PASSWORDS.items()}
    environment = {**os.environ, **hashes}
    with clickhouse_server(
        folder, tcp_port=tcp_port, backups=folder / "backups", config=config, environment=environment
    ) as server:
        yield f"127.0.0.1:{server.port}"


def dsn(user: str, address: str) -> str:
    return f"http://{user}:{PASSWORDS[user]}@{address}"
