"""The users of docker-compose.yml on a real server: each can do its work, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.errors import WarehouseFault
from alsobought.privacy.guests import merge_guests
from alsobought.service.service import open_service
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.storage.distributed import spread
from alsobought.storage.engine_settings import Limits
from alsobought.storage.nodes import Nodes
from alsobought.writer.recovery import WINDOW, WINDOW_BLOCKS
from alsobought.writer.submission import MaintenanceTask
from tests.support.process import running, write
from tests.support.server_users import CLUSTER, dsn, server_with_users

pytestmark = pytest.mark.journey

REFUSED_TO_ALL = {
    "another database": "create table default.t (a String) engine = Memory",
    "a database of its own": "create database mine",
    "a user": "create user eve",
    "a right": "grant select on alsobought.* to default",
    "an address": "select * from url('http://127.0.0.1:1', 'CSV', 'a String')",
    "another server": "select * from remote('127.0.0.1:1', 'system.one')",
    "an engine that reads elsewhere": "create table alsobought_check.t (a String) engine = URL('http://127.0.0.1:1', 'CSV')",
    "the users": "select * from system.users",
    "the rights of others": "select * from system.grants",
    "the server itself": "system shutdown",
    "another scratch database": "create database alsobought_other",
}
FILES = {
    "a file": "insert into function file('out.csv', 'CSV', 'a String') select 'a'",
    "a file to read": "select * from file('in.csv', 'CSV', 'a String')",
}
REFUSED = {
    "alsobought": {
        **FILES,
        "a table": "create table alsobought.t (a String) engine = Memory",
        "a table that goes": "drop table alsobought.events",
        "a view": "create view alsobought.v as select 1",
        "a column": "alter table alsobought.events add column a String",
        "the database": "drop database alsobought",
        "a detached table": "detach table alsobought.events",
    },
    "alsobought_migrator": {"the database": "drop database alsobought"},
    "alsobought_reader": {
        **FILES,
        "an insert": "insert into alsobought.items (item_id) values ('a')",
        "a deletion": "alter table alsobought.items delete where true",
        "a table": "create table alsobought.t (a String) engine = Memory",
        "a table that goes": "drop table alsobought.events",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """A migrated one."""
    with server_with_users(folder) as address:
        migrated = running(Path("unused"), ALSOBOUGHT_DSN=dsn("alsobought_migrator", address))("migrate", "up")
        assert migrated.status == 0, migrated.err
        yield address


def test_each_user_does_its_work(server: str, tmp_path: Path) -> None:
    writer = {"ALSOBOUGHT_DSN": dsn("alsobought", server), "ALSOBOUGHT_READER_DSN": dsn("alsobought_reader", server)}
    run = running(tmp_path / "unused", **writer)
    bought = [
        {"event_type": "purchase", "user_id": f"u{n % 9}", "order_id": f"o{n // 3}", "item_id": f"i{n % 20}"}
        for n in range(300)
    ]
    events = write(tmp_path / "events.ndjson", *bought, {"event_type": "view", "session_id": "s4711", "item_id": "i1"})
    items = write(tmp_path / "items.ndjson", *({"item_id": f"i{n}", "title": f"t{n}"} for n in range(20)))
    for words in (
        ("load", "events", events),
        ("load", "items", items),
        ("forget", "u2"),
        ("check",),
        ("pipe", "run", "also_bought", "item_id=i1"),
        ("key", "create", "backend", "--scope", "metrics"),
        ("doctor",),
    ):
        ran = run(*words, ALSOBOUGHT_EVENT_RETENTION_DAYS="400")
        assert ran.status == 0, (words, ran.out, ran.err)
    service = open_service(from_environment(writer))
    service.warehouse.command(
        f"alter table alsobought.co_baskets modify setting {WINDOW} = {WINDOW_BLOCKS}"
    )  # recovery
    merge = MaintenanceTask(lambda: merge_guests(service.writers[0], [("s4711", "u1")]), exclusive=True)
    assert service.writer.run(merge).result(60) == [""]
    service.close()
    migrator = {"ALSOBOUGHT_DSN": dsn("alsobought_migrator", server)}
    for task in (("rebuild", "co_purchases"), ("learn", "neighbours")):
        refused = run(*task)
        assert refused.status == 1
        assert "Not enough privileges" in refused.err, (task, refused)
        ran = run(*task, **migrator)
        assert ran.status == 0, (task, ran.out, ran.err)
    assert run("check").status == 0


def test_a_node_of_a_cluster_is_read_over_its_shards(server: str) -> None:
    cluster = {"ALSOBOUGHT_CLUSTER": CLUSTER, "ALSOBOUGHT_SHARDS": dsn("alsobought", server)}
    migrator = open_warehouse(from_environment({"ALSOBOUGHT_DSN": dsn("alsobought_migrator", server)}))
    spread(migrator, CLUSTER, 1)
    migrator.close()
    nodes = Nodes(from_environment({**cluster, "ALSOBOUGHT_READER_DSN": dsn("alsobought_reader", server)}))
    reads = nodes.reads
    nodes.all[0].warehouse.insert("item_ids", b'{"item_key": 1, "item_id": "one"}')
    assert reads.cluster
    reads.cluster.reload(["catalogue", "item_demand"])
    assert (
        reads.value("select any(dictGet('catalogue', 'item_id', item_key)) from item_ids where item_key = 1") == "one"
    )
    nodes.close()


def test_the_migrator_backs_up_and_restores(server: str, folder: Path, tmp_path: Path) -> None:
    for words in ("backup",), ("verify", "--full"):
        settings = {"DSN": dsn("alsobought_migrator", server), "BACKUP_TO": str(folder / "backups")}
        ran = running(tmp_path / "unused", **{f"ALSOBOUGHT_{name}": value for name, value in settings.items()})(*words)
        assert ran.status == 0, (words, ran.out, ran.err)


@pytest.mark.parametrize("user", REFUSED)
def test_no_user_can_do_more(server: str, user: str) -> None:
    warehouse = ClickHouseWarehouse(dsn(user, server), "alsobought", Limits(), 0)
    done = []
    for kind, sql in {**REFUSED_TO_ALL, **REFUSED[user]}.items():
        try:
            warehouse.command(sql)
            done.append(kind)
        except WarehouseFault as fault:
            assert "Not enough privileges" in str(fault), (kind, str(fault))
    warehouse.close()
    assert done == []


def test_a_wrong_password_is_named_by_its_setting(server: str) -> None:
    wrong = f"http://alsobought:nope@{server}"
    for address in wrong, f"http://default:nope@{server}":  # one with a password, and one without
        with pytest.raises(
            WarehouseFault, match=r"refused the user name or the password\. Are those in ALSOBOUGHT_DSN right"
        ):
            ClickHouseWarehouse(address, "alsobought", Limits(), 0)
    opened = ClickHouseWarehouse(dsn("alsobought", server), "alsobought", Limits(), 0, wrong)
    with pytest.raises(WarehouseFault, match=r"Are those in ALSOBOUGHT_READER_DSN right"):
        opened.value("select 1")
    opened.close()
