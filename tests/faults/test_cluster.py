"""Two shards: kill -9 of the ingester at each step, and of a shard's server, lose and double nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.cluster_rig import ClusterRig, cluster_rig
from tests.faults.rig import THOROUGH
from tests.support.brokers import Broker
from tests.support.kafka import Topics

STEPS = [
    "ingest.before_insert:4",
    "ingest.after_insert:3",
    "consumer.stored:2",
    "consumer.ingest_ranges:2",
    "serving.refresh:5",
]


@pytest.fixture
def make_cluster_rig(kafka: Broker, tmp_path: Path) -> Iterator[Callable[..., ClusterRig]]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(cluster_rig(Topics(kafka), tmp_path, **settings))


@pytest.mark.thorough
@pytest.mark.parametrize("point", STEPS)
def test_a_kill_of_the_ingester_at_a_step(make_cluster_rig: Callable[..., ClusterRig], point: str) -> None:
    rig = make_cluster_rig()
    rig.send(2000)
    rig.ingester(point).wait_for_kill()
    rig.send(500)
    rig.ingester()
    rig.finish("two shards: kill -9 of the ingester at a step")


@pytest.mark.parametrize("victim", [0, 1] if THOROUGH else [1])
def test_kills_of_a_shard(make_cluster_rig: Callable[..., ClusterRig], victim: int) -> None:
    """The stores wait for the shard, and go on. Before that, the ingester is killed, too."""
    rig, chosen = make_cluster_rig(), random.Random(victim)
    kills = 10 if THOROUGH else 2
    rig.send(1000)
    rig.ingester(STEPS[1]).wait_for_kill()
    rig.ingester()
    rig.wait_for_more(500)
    with rig.sending(200):
        for _ in range(kills):
            time.sleep(chosen.uniform(0.5, 2.0))
            rig.servers[victim].kill()
            time.sleep(chosen.uniform(0.1, 1.0))
            rig.servers[victim].start()
    rig.finish(f"two shards: kill -9 of the server of the {'first' if victim == 0 else 'second'} shard", kills)


@pytest.mark.thorough
def test_a_shard_that_is_down_for_longer_while_another_ingester_waits(
    make_cluster_rig: Callable[..., ClusterRig],
) -> None:
    rig = make_cluster_rig()
    rig.ingester()
    rig.ingester()
    rig.send(1000)
    rig.wait_for_more(500)
    rig.servers[1].kill()
    rig.send(1000)
    time.sleep(20)
    rig.servers[1].start()
    rig.send(1000)
    rig.finish("two shards: one is down for a while")


@pytest.mark.thorough
def test_an_ingester_is_suspended_and_another_takes_over(make_cluster_rig: Callable[..., ClusterRig]) -> None:
    rig = make_cluster_rig()
    first = rig.ingester()
    rig.send(1000)
    rig.wait_for_more(500)
    rig.ingester()
    with rig.sending(100):
        first.suspend()
        time.sleep(15)
        first.resume()
        time.sleep(5)
    rig.finish("two shards: an ingester is suspended, another takes over")
