"""Third barrier: the engine itself rejects hostile texts that would pass both checks of the text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.errors import WarehouseFault
from alsobought.service.service import Service
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.engine_settings import Limits
from alsobought.storage.warehouse import Warehouse
from tests.support.project import ROOT
from tests.support.server_users import dsn, server_with_users

EMBEDDED_REFUSES = {
    "a file as a table": "select * from file('/etc/passwd', 'LineAsString')",
    "an address": "select * from url('http://127.0.0.1:1/', 'LineAsString')",
    "another server": "select * from remote('127.0.0.1:1', system.one)",
    "a program": "select * from executable('id', 'TSV', 'a String')",
    "a structure that reads a file": "select * from format(JSONEachRow, 'a String default file(''/etc/passwd'')', '{}')",
    "a write to a file": "insert into function file('/tmp/alsobought-barrier') select 1",
    "a setting": "select 1 settings readonly = 0",
    "a setting for the session": "set allow_introspection_functions = 1",
    "introspection": "select addressToLine(toUInt64(1))",
    "introspection by its name": "select arrayMap(addressToLine, [toUInt64(1)])",
    "a table that is dropped": "drop table items",
}


@pytest.mark.embedded
@pytest.mark.parametrize("sql", EMBEDDED_REFUSES.values(), ids=EMBEDDED_REFUSES)
def test_the_read_only_connection_rejects(shop: Service, sql: str) -> None:
    with pytest.raises(WarehouseFault):
        shop.warehouse.rows(sql + " -- {a:String}", {"a": ""})


# Of any statement, the writer's and those of migrations included: storage/engine/users.xml grants no source.
PROCESS_REFUSES = {
    "a file as a table": "select * from file('/etc/passwd', 'LineAsString')",
    "an address": "select * from url('http://127.0.0.1:1/', 'LineAsString')",
    "another server": "select * from remote('127.0.0.1:1', system.one)",
    "a bucket": "select * from s3('http://127.0.0.1:1/a/b', 'LineAsString')",
    "MySQL": "select * from mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "PostgreSQL": "select * from postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SQLite": "select * from sqlite('/tmp/alsobought-barrier.db', 'a')",
    "MongoDB": "select * from mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e String')",
    "a program": "select * from executable('id', 'TSV', 'a String')",
    "a table of a file": "create table alsobought_barrier (a String) engine = File(LineAsString, '/etc/passwd')",
    "a table of an address": "create table alsobought_barrier (a String) engine = URL('http://127.0.0.1:1/', LineAsString)",
    "a write to a file": "insert into function file('/tmp/alsobought-barrier') select 1",
    "a copy of the database": "backup database system to File('/tmp/alsobought-barrier')",
    "introspection": "select addressToLine(toUInt64(1))",
    "a function of one's own": "create function alsobought_barrier as x -> x",
    "another user": "create user alsobought_barrier",
    "more rights": "grant FILE on *.* to default",
    "a named collection": "create named collection alsobought_barrier as a = 1",
}


@pytest.mark.embedded
@pytest.mark.parametrize("sql", PROCESS_REFUSES.values(), ids=PROCESS_REFUSES)
def test_the_embedded_engine_itself_rejects(shop: Service, sql: str) -> None:
    with pytest.raises(WarehouseFault):
        shop.warehouse.command(sql)  # over the connection of the writer


@pytest.mark.embedded
def test_the_embedded_engine_has_no_source(shop: Service) -> None:
    grants = " ".join(row[0] for row in shop.warehouse.trusted_rows("show grants").data)
    assert grants == (
        "GRANT CHECK, SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY,"
        " CREATE TEMPORARY TABLE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, SYSTEM, dictGet ON *.* TO default"
    )


@pytest.mark.embedded
@pytest.mark.parametrize(
    "sql",
    [
        "select file('/etc/passwd')",
        "select arrayMap(file, ['/etc/passwd'])[1]",
        "select toString(filesystemCapacity() > 0)",
        "select toString(count() > 0) from system.tables",
        "select toString(now() > 0)",
    ],
)
def test_the_embedded_engine_allows(shop: Service, sql: str) -> None:
    """No setting, grant or path forbids these: only the two checks of the text do. If this test fails, update the docs."""
    assert "root:" in (answer := str(shop.warehouse.value(sql))) or answer == "1"


# A server: the engine listens, with the users of docker-compose.yml.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an engine with those users, host and port."""
    with server_with_users(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="module")
def warehouse(server: str) -> Iterator[Warehouse]:
    """A warehouse on that server: it writes as its owner, and runs pipes as the user for that."""
    reader = dsn("alsobought_reader", server)
    opened = ClickHouseWarehouse(f"http://default:@{server}", "alsobought", Limits(), 0, reader)
    opened.command("create database if not exists alsobought")
    opened.command("create database if not exists other")
    opened.command("create table alsobought.items (item_id String) engine = MergeTree order by item_id")
    opened.command("create table other.secrets (a String) engine = MergeTree order by a")
    yield opened
    opened.close()


SERVER_REFUSES = {
    **{kind: sql for kind, sql in EMBEDDED_REFUSES.items() if kind != "a setting"},
    "another database": "select * from other.secrets",
    "what others may do": "select * from system.users",
    "what others asked": "select * from system.query_log",
    "a table of its own": "create table items2 (a String) engine = Memory",
    "an insert": "insert into items select 'a'",
}


@pytest.mark.parametrize("sql", SERVER_REFUSES.values(), ids=SERVER_REFUSES)
def test_the_read_only_user_of_a_server_is_rejected(warehouse: Warehouse, sql: str) -> None:
    with pytest.raises(WarehouseFault):
        warehouse.rows(sql + " -- {a:String}", {"a": ""})


def test_the_read_only_user_of_a_server_can_run_pipes(warehouse: Warehouse) -> None:
    assert warehouse.rows("select count() from items").data == [[0]]
    assert warehouse.schema() == {"items": {"item_id": "String"}}
    assert warehouse.describe("select item_id from items where item_id = {a:String}", {"a": ""})[0].name == "item_id"
    assert warehouse.value("select currentUser()") == "alsobought_reader"
    assert warehouse.value("select count() from system.processes where query_kind = 'Insert'") == 0
    assert warehouse.value("select count() from system.dictionaries where database = 'alsobought'") == 0


def test_no_server_config_moves_the_folder_of_the_scalar_file() -> None:
    """A server reads below its `user_files_path`, an empty folder; the engine of these tests, a clickhouse-local that listens,
    does not look at it. So nothing that we bring may move that folder.
    """
    for name in ("config.xml", "users.xml"):
        assert "user_files_path" not in Path(ROOT / "sql" / "server" / name).read_text()
