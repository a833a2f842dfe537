"""A process uses one replica of a shard and moves on when that dies. One server at two addresses stands for two replicas."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from alsobought.errors import WarehouseFault
from alsobought.settings import Settings, read_settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.storage.replicas import PinnedReplica, ReplicaChanged, replica_settings
from alsobought.storage.topology import replicas_of, shard_settings, shards_of
from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import free_port
from tests.support.relay import Relay

DEAD = f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder: Path = tmp_path_factory.mktemp("replicas")
    with clickhouse_server(folder) as server:
        yield urlsplit(server.dsn).port or 0


@pytest.fixture
def relays(server: int) -> Iterator[list[Relay]]:
    relays = [Relay(server), Relay(server)]
    yield relays
    for relay in relays:
        relay.die()


def opened(*dsns: str, reader: str = "") -> ClickHouseWarehouse:
    settings = Settings(shards="|".join(dsns), cluster="shop", shard=1, database="shop", reader_dsn=reader)
    return open_warehouse(settings)


def test_a_replica_that_does_not_answer_is_passed_over(relays: list[Relay]) -> None:
    warehouse = opened(DEAD, relays[0].dsn)
    assert warehouse.dsn == relays[0].dsn
    assert warehouse.value("select 1") == 1
    warehouse.close()


def test_reads_go_on_at_once_and_writes_at_the_next_call(relays: list[Relay]) -> None:
    warehouse = opened(relays[0].dsn, relays[1].dsn)
    assert (warehouse.dsn, warehouse.value("select 1")) == (relays[0].dsn, 1)
    relays[0].die()
    assert warehouse.value("select 2") == 2
    with pytest.raises(WarehouseFault):
        warehouse.command("create database if not exists shop")
    warehouse.command("create database if not exists shop")
    assert (warehouse.dsn, warehouse.generation) == (relays[1].dsn, 1)
    warehouse.close()


def test_a_writer_is_stopped_by_a_move_that_another_thread_caused(relays: list[Relay]) -> None:
    warehouse = opened(relays[0].dsn, relays[1].dsn)
    warehouse.bind(warehouse.generation)
    relays[0].die()

    def move() -> None:
        with pytest.raises(WarehouseFault):
            warehouse.command("select 1")

    thread = threading.Thread(target=move)
    thread.start()
    thread.join()
    with pytest.raises(ReplicaChanged):
        warehouse.command("create database if not exists shop")
    warehouse.bind(warehouse.generation)
    warehouse.command("create database if not exists shop")
    warehouse.close()


def test_a_reader_of_each_replica_follows_the_writer(relays: list[Relay]) -> None:
    readers = [f"{relay.dsn.replace('//', '//default:@')}" for relay in relays]
    warehouse = opened(relays[0].dsn, relays[1].dsn, reader=" | ".join(readers))
    assert warehouse.value("select 1") == 1
    relays[0].die()
    assert warehouse.value("select 1") == 1
    warehouse.close()


def test_peers_that_are_dead_answer_nothing_and_hold_up_nobody(relays: list[Relay]) -> None:
    warehouse = opened(relays[0].dsn, relays[1].dsn, DEAD)
    rows = warehouse.peers.rows("select 7", {})
    assert [one and one.data for one in rows] == [[[7]], None]
    assert not warehouse.command_on_peers("create database if not exists shop")
    warehouse.close()


def test_the_others_follow_the_pinned_one_in_turn() -> None:
    replicas = PinnedReplica(["a", "b", "c"], ["x", "y", "z"])
    replicas.pin("b")
    assert (replicas.in_order(), replicas.in_order(but_pinned=True)) == (["b", "c", "a"], ["c", "a", "b"])
    assert (replicas.readers_in_order(), replicas.peers) == (["y", "z", "x"], ["c", "a"])


def test_a_shard_of_a_cluster_has_settings_of_its_own() -> None:
    settings, faults = read_settings(
        {
            "ALSOBOUGHT_SHARDS": "http://a|http://b,http://c",
            "ALSOBOUGHT_CLUSTER": "shop",
            "ALSOBOUGHT_INSERT_QUORUM": "auto",
        }
    )
    assert not faults
    of_shards = [shard_settings(settings, shard) for shard in shards_of(settings)]
    assert [replicas_of(one) for one in of_shards] == [("http://a", "http://b"), ()]
    assert [one.warehouse_dsn for one in of_shards] == ["http://a", "http://c"]
    assert replica_settings(settings.insert_quorum)["insert_quorum"] == "auto"
    assert read_settings({"ALSOBOUGHT_INSERT_QUORUM": "1"})[1]
