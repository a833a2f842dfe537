"""Shops for tests, each in an empty database, on the engine that `--engine` names.

The process of the tests has at most one embedded warehouse, in memory. Whatever needs a folder runs in a process of its own
(`alsobought …`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient

from app.shop import Shop
from app.web.factory import create_app
from tests.engines import NAMES, Engine, engine, why_not

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ON_ENGINES = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=NAMES, default="embedded", help="what the tests' shops stand on")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Elsewhere than embedded only what uses an engine runs again, and not what is about the embedded one."""
    name = config.getoption("engine")
    using = [item for item in items if "on" in getattr(item, "fixturenames", ())]
    wanted = using if name == "embedded" else [item for item in using if not item.get_closest_marker("embedded")]
    config.stash[_ON_ENGINES] = {
        "here": len(wanted),
        "embedded": len(using) - len(wanted),
        "no": len(items) - len(using),
    }
    if name != "embedded":
        if reason := why_not(name):
            raise pytest.UsageError(f"no tests on {name}: {reason}")
        config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
        items[:] = wanted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    ran, name = config.stash[_ON_ENGINES], config.getoption("engine")
    line = f"{ran['here']} tests on the engine {name}"
    if name != "embedded":
        line += f"; {ran['embedded']} are about the embedded one, {ran['no']} need none or start their own"
    terminalreporter.write_line(line)


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("ALSOBOUGHT_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def on(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine that the tests run on."""
    with engine(request.config.getoption("engine")) as running:
        yield running


@contextmanager
def _shops(on: Engine) -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def make(clock: Callable[[], datetime] = lambda: NOON, **settings: object) -> Shop:
        shop = on.borrowed(clock, **settings)
        made.append(shop)
        return shop

    yield make
    for shop in made:
        on.give_back(shop)


@pytest.fixture
def make_shop(on: Engine) -> Iterator[Callable[..., Shop]]:
    """`make_shop(queue_rows=10)`: an empty shop with these settings, its clock at noon of 2026-01-01."""
    with _shops(on) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_shop(on: Engine) -> Iterator[Callable[..., Shop]]:
    """The same for the tests of a module that only read, or tell their rows apart: a shop takes half a second to make."""
    with _shops(on) as make:
        yield make


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """An empty shop, its clock at noon of 2026-01-01."""
    return make_shop()


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    """The endpoints of the test's shop, whichever shop that is."""
    return create_app(shop).test_client()
