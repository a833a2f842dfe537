"""Shops for tests. One process has one warehouse: all of these live in memory, each test in a database of its own.

Whatever needs a folder runs in a process of its own (`alsobought …`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from app.settings import Settings
from app.shop import Shop, open_shop
from app.web.factory import create_app

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_numbers = itertools.count()


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("ALSOBOUGHT_")]:
        del os.environ[name]


@contextmanager
def _shops() -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def make(clock: Callable[[], datetime] = lambda: NOON, **settings: object) -> Shop:
        given = {"dsn": "chdb://:memory:", "database": f"test_{next(_numbers)}", "batch_seconds": 0.001, **settings}
        shop = open_shop(Settings(**given), clock)  # type: ignore[arg-type]
        made.append(shop)
        return shop

    yield make
    for shop in made:
        if shop.recorder:
            shop.recorder.stop()
        shop.writer.stop()
        shop.warehouse.command(f"drop database {shop.settings.database}")
        shop.warehouse.close()


@pytest.fixture
def make_shop() -> Iterator[Callable[..., Shop]]:
    """`make_shop(queue_rows=10)`: a shop in memory with these settings, its clock at noon of 2026-01-01."""
    with _shops() as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_shop() -> Iterator[Callable[..., Shop]]:
    """The same for the tests of a module that only read, or tell their rows apart: a shop takes half a second to make."""
    with _shops() as make:
        yield make


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """A shop in memory, empty, its clock at noon of 2026-01-01."""
    return make_shop()


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    """The endpoints of the test's shop, whichever shop that is."""
    return create_app(shop).test_client()
