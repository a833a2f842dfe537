"""Faults of the broker: stopped, killed, suspended, slow. Each message that it has is stored once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.mixed import mixed
from tests.faults.rig import THOROUGH, Rig, rig
from tests.support.brokers import Broker
from tests.support.kafka import Topics

FROZEN_SECONDS = 45.0 if THOROUGH else 8.0  # longer than the session of an ingester


@pytest.fixture
def on_own(request: pytest.FixtureRequest, own_kafka: Broker, tmp_path: Path) -> Iterator[Rig]:
    """On a folder or on a server, by the test's parameter."""
    dsn = request.getfixturevalue("server") if request.param == "server" else ""
    with rig(Topics(own_kafka), tmp_path, dsn) as made:
        made.stream = mixed(51, ids=False, invalid=0.01)
        yield made


def _restart(own_kafka: Broker, end: Callable[[], None]) -> None:
    end()
    own_kafka.start()


@pytest.mark.parametrize("on_own", ["embedded", pytest.param("server", marks=pytest.mark.thorough)], indirect=True)
def test_a_broker_that_is_stopped_and_restarted_loses_nothing(on_own: Rig, own_kafka: Broker) -> None:
    on_own.ingester()
    with on_own.sending():
        on_own.wait(lambda: on_own.consumed() > 500)
        _restart(own_kafka, own_kafka.stop)
    on_own.finish("the broker is stopped and started")


@pytest.mark.parametrize("on_own", [pytest.param("embedded", marks=pytest.mark.thorough), "server"], indirect=True)
@pytest.mark.thorough
def test_a_broker_that_is_killed_and_restarted_loses_nothing(on_own: Rig, own_kafka: Broker) -> None:
    on_own.ingester()
    with on_own.sending():
        on_own.wait(lambda: on_own.consumed() > 500)
        _restart(own_kafka, own_kafka.kill)
    on_own.finish("the broker is killed and started")


@pytest.mark.parametrize("on_own", ["server"], indirect=True)
@pytest.mark.thorough
def test_a_broker_that_does_not_answer_for_a_while_loses_nothing(on_own: Rig, own_kafka: Broker) -> None:
    for _ in range(2):
        on_own.ingester()
    with on_own.sending():
        on_own.wait(lambda: on_own.consumed() > 500)
        with own_kafka.frozen():
            time.sleep(FROZEN_SECONDS)
    on_own.finish(f"the broker does not answer for {FROZEN_SECONDS:.0f} s")


@pytest.mark.parametrize("on_own", ["embedded"], indirect=True)
@pytest.mark.thorough
def test_a_broker_that_is_slow_loses_nothing(on_own: Rig, own_kafka: Broker) -> None:
    ingester = on_own.ingester()
    with on_own.sending():
        on_own.wait(lambda: on_own.consumed() > 200)
        for _ in range(60 if THOROUGH else 8):
            with own_kafka.frozen():
                time.sleep(0.4)
            time.sleep(0.1)
    assert ingester.running
    on_own.finish("a broker that is slow")
