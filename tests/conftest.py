"""Shops for tests, each in an empty database, on the engine that `--engine` names.

The process of the tests has at most one embedded warehouse, in memory. Whatever needs a folder runs in a process of its own
(`alsobought …`).
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from alsobought.pipes import library
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.brokers import WITHOUT, Broker, broker
from tests.support.engines import NAMES, Engine, engine
from tests.support.process import Run, end_forks, running
from tests.support.recommended import IDS

library.RECHECK_SECONDS = 0.0  # a test that saves a macro asks at once

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MEMORY = Path("/dev/shm")  # noqa: S108
ENOUGH_BYTES = 4 << 30
TEMPORARY = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=NAMES, default="embedded", help="what the tests' shops stand on")


def pytest_configure(config: pytest.Config) -> None:
    """Temporary files are in memory where it has room: the tests write gigabytes, a tenth of them at a time."""
    chosen = {"PYTEST_XDIST_WORKER", "TMPDIR"} & os.environ.keys()
    if not chosen and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        config.stash[TEMPORARY] = os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(dir=MEMORY, prefix="t")


def pytest_collection_finish() -> None:
    """Thousands of tests stay to the end: no garbage collection needs to look at them."""
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(TEMPORARY, ""):
        del os.environ["TMPDIR"]
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Elsewhere than embedded only what uses an engine runs again, and not what is about the embedded one."""
    name = config.getoption("engine")
    if name == "embedded":
        return
    wanted = [item for item in items if _uses_engine(item) and not item.get_closest_marker("embedded")]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def _uses_engine(item: pytest.Item) -> bool:
    return "on" in getattr(item, "fixturenames", ())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged reaches the report as text that every pipe can carry: some log halves of characters on purpose."""
    report = yield
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    if report.when == "call" and _uses_engine(item):
        report.user_properties.append(("engine", item.config.getoption("engine")))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    ran = sum(("engine", config.getoption("engine")) in getattr(report, "user_properties", ()) for report in reports)
    terminalreporter.write_line(
        f"{ran} tests on the engine {config.getoption('engine')}; the others need none, or start their own"
    )
    if without := _without_broker(terminalreporter):
        terminalreporter.section(f"{len(without)} tests not run here", yellow=True)
        terminalreporter.write_line(WITHOUT)
        terminalreporter.write_line("\n".join(f"  {name}" for name in without))


def _without_broker(terminalreporter: pytest.TerminalReporter) -> list[str]:
    """The tests that were skipped because no broker was available."""
    skipped = terminalreporter.stats.get("skipped", [])
    return sorted(report.nodeid for report in skipped if WITHOUT in str(report.longrepr))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where CI is set, a test without a broker is a failure."""
    terminalreporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if "CI" in os.environ and terminalreporter and _without_broker(terminalreporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def _nothing_from_outside(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No settings; and what is kept of one process for the next is that of this run, of all its workers.

    Which texts are valid pipes is kept for the next run, too: to validate all takes half a minute.
    """
    for name in [name for name in os.environ if name.startswith("ALSOBOUGHT_")]:
        del os.environ[name]
    own = tmp_path_factory.getbasetemp()
    run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    os.environ["XDG_CACHE_HOME"] = str(run / "cache")
    (run / "cache").mkdir(exist_ok=True)
    if pytestconfig.cache:
        with suppress(FileExistsError):  # another worker was quicker
            (run / "cache" / "alsobought").symlink_to(pytestconfig.cache.mkdir("alsobought"))
    yield
    end_forks()


@pytest.fixture(scope="session")
def on(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The engine that the tests run on."""
    with engine(request.config.getoption("engine")) as started:
        yield started


@contextmanager
def _shops(on: Engine) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(clock: Callable[[], datetime] = lambda: NOON, **settings: object) -> Service:
        shop = on.borrow(clock, **settings)
        made.append(shop)
        return shop

    yield make
    for shop in made:
        on.give_back(shop)


@pytest.fixture
def make_shop(on: Engine) -> Iterator[Callable[..., Service]]:
    """`make_shop(queue_rows=10)`: an empty shop with these settings, its clock at noon of 2026-01-01."""
    with _shops(on) as make:
        yield make


@pytest.fixture(scope="module")
def make_shared_shop(on: Engine) -> Iterator[Callable[..., Service]]:
    """The same for the tests of a module that only read, or tell their rows apart: a shop takes half a second to make."""
    with _shops(on) as make:
        yield make


@pytest.fixture
def shop(make_shop: Callable[..., Service]) -> Service:
    """An empty shop, its clock at noon of 2026-01-01."""
    return make_shop()


@pytest.fixture
def client(shop: Service) -> FlaskClient:
    """The endpoints of the test's shop, whichever shop that is."""
    return create_app(shop).test_client()


@pytest.fixture(scope="session")
def kafka() -> Iterator[Broker]:
    """One broker for all tests of a process."""
    with broker() as started:
        yield started


@pytest.fixture(scope="session")
def own_kafka(kafka: Broker) -> Iterator[Broker]:
    """One that may be frozen, and stopped and started again: the same, if its process is ours."""
    if kafka.command:
        yield kafka
    else:
        with broker(ours=True) as started:
            yield started


@pytest.fixture(scope="session")
def migrated_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as `alsobought migrate up` leaves it, to be copied: a copy is a tenth of the work."""
    folder = tmp_path_factory.mktemp("migrated") / "data"
    assert running(folder)("migrate", "up").status == 0
    return folder


@pytest.fixture
def run_migrated(migrated_folder: Path, tmp_path: Path) -> Run:
    """Commands on a folder of this test's own that is migrated."""
    return running(shutil.copytree(migrated_folder, tmp_path / "data", symlinks=True))


@pytest.fixture(scope="module")
def known_ids() -> Iterator[None]:
    """Writers that the module makes read the ids of `tests.support.recommended`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alsobought.writer.writer.recommendation_ids", lambda *_, **__: IDS)
        yield
