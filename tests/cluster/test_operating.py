"""Operating two shards: the doctor, answers without a shard, and users redistributed over another number of shards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from alsobought.diagnostics.cluster_checks import check_cluster
from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item
from alsobought.service.maintenance import run_task
from alsobought.service.service import Service, open_service
from alsobought.serving.answers import answer
from alsobought.settings import Settings
from alsobought.storage.topology import shard_index
from alsobought.writer.submission import Submission
from tests.cluster.purchases import purchases, shards_of_cluster, stored
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.shards import cluster_settings

pytestmark = pytest.mark.journey  # two servers take seconds to start


def faults(settings: Settings) -> list[str]:
    return [finding.message for finding in check_cluster(settings) if finding.state == "fault"]


def items_of(shop: Service, pipe: str, **parameters: str) -> list[str]:
    given = {name: [value] for name, value in parameters.items()}
    return [str(row["item_id"]) for row in answer(shop.library, shop.warehouse, pipe, given, shop.clock()).dicts()]


def placed(shop: Service, prefix: str) -> list[set[int]]:
    """For each shard, the shards that its users belong to."""
    sql = "select distinct user_id from {database}.events where startsWith(user_id, {prefix:String})"
    return [
        {
            shard_index(user, 2)
            for (user,) in shard.trusted_rows(sql.replace("{database}", shard.database), {"prefix": prefix}).data
        }
        for shard in shards_of_cluster(shop)
    ]


@contextmanager
def only(server: ClickHouseServer) -> Iterator[Service]:
    """A service on a cluster of one shard."""
    shop = open_service(cluster_settings([server]))
    try:
        yield shop
    finally:
        shop.close()


def alsobought(servers: Sequence[ClickHouseServer], *words: str) -> str:
    settings = cluster_settings(servers)
    ours = {"SHARDS": settings.shards, "CLUSTER": settings.cluster, "DATABASE": settings.database}
    environment = {**os.environ, **{f"ALSOBOUGHT_{name}": value for name, value in ours.items()}}
    command = [sys.executable, "-m", "alsobought", *words]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.thorough
def test_users_move_when_a_shard_is_added_and_when_one_is_left_out(servers: list[ClickHouseServer]) -> None:
    events = purchases(600, "moving")
    with only(servers[0]) as shop:
        shop.writer.submit(Submission([Item(item_id=f"i{n}", title=f"Item {n}") for n in range(30)])).result()
        shop.writer.submit(Submission(events, "file:moving", range(600))).result()
    both = cluster_settings(servers)
    assert any("on another shard than their users belong to" in message for message in faults(both))
    alsobought(servers, "reshard", "--from", servers[0].dsn)
    assert faults(both) == []
    shop = open_service(both)
    assert placed(shop, "moving") == [{0}, {1}]
    assert shop.writer.submit(Submission(events, "file:moving", range(600))).result().duplicates == 600
    popular = items_of(shop, "popular", limit="5")
    shop.close()
    alsobought(servers[:1], "reshard", "--from", both.shards)
    with only(servers[0]) as shop:
        assert sum(stored(shop, "moving")[0].values()) == 600
        assert items_of(shop, "popular", limit="5") == popular
    alsobought(servers, "reshard", "--from", servers[0].dsn)


def test_the_doctor_finds_nodes_that_know_another_cluster_and_a_database_that_is_missing(
    servers: list[ClickHouseServer],
) -> None:
    swapped = faults(cluster_settings([servers[1], servers[0]]))
    assert any("the node is shard 2 of the cluster shop, in ALSOBOUGHT_SHARDS it is shard 1" in one for one in swapped)
    assert any(
        "the cluster other has 0 shards there" in one for one in faults(cluster_settings(servers, cluster="other"))
    )
    missing = faults(cluster_settings(servers, database="nothing"))
    assert any("are not applied" in one or "no database" in one for one in missing)


def test_answers_go_on_without_a_shard_and_through_another_node(
    open_shop: Callable[..., Service], servers: list[ClickHouseServer]
) -> None:
    shop = open_shop()
    shop.writer.submit(Submission(purchases(300, "answers"))).result()
    run_task(shop.writer, "refresh serving tables", 30.0)
    whole = items_of(shop, "popular", limit="10")
    assert whole
    for down in (1, 0):
        servers[down].kill()
        try:
            assert items_of(shop, "popular", limit="10")
            assert items_of(shop, "also_bought", item_id="i1", limit="5")
        finally:
            servers[down].start()
    assert items_of(shop, "popular", limit="10") == whole
    late = Event(event_type="view", user_id="answers1", item_id="i2", event_id="late")
    assert shop.writer.submit(Submission([late], waiting=True)).result().rows == 1
    assert "i2" in items_of(shop, "recently_viewed", user_id="answers1")


@pytest.mark.thorough
def test_what_is_done_for_one_shard_says_so(servers: list[ClickHouseServer], open_shop: Callable[..., Service]) -> None:
    with pytest.raises(Unusable, match="one shard at a time"):
        open_shop().do("snapshot", "mine")
    checked = alsobought(servers, "check", "--sample", "10%")
    assert "shard 1 of 2" in checked
    assert "shard 2 of 2" in checked
