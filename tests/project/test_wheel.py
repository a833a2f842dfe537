"""The wheel, installed outside the checkout, is all that a shop needs.

Its dependencies are those of the tests' own environment, by a .pth file; one slow test installs them for real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alsobought.project.manifest import read_manifest, write_manifest
from alsobought.project.patterns import project_files
from tests.support.process import CompletedRun, assert_error, free_port
from tests.support.project import PROJECT, ROOT

pytestmark = pytest.mark.journey

SOURCES = ("app", *PROJECT, "tests/pipes", "pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@dataclass(frozen=True)
class Installed:
    """An environment with the package in it, of a user who has nothing else."""

    environment: Path
    home: Path

    def variables(self, **settings: str) -> dict[str, str]:
        given = {name: os.environ[name] for name in ("LANG", "TMPDIR", "XDG_CACHE_HOME") if name in os.environ}
        path = f"{self.environment / 'bin'}:/usr/bin:/bin"
        return {**given, "HOME": str(self.home), "PATH": path, "COLUMNS": "200", "PYTHONUNBUFFERED": "1", **settings}

    def __call__(self, *words: str, at: Path, **settings: str) -> CompletedRun:
        done = subprocess.run(
            [self.environment / "bin" / "alsobought", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self.variables(**settings),
            cwd=at,
        )
        return CompletedRun(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def serving(self, *words: str, at: Path) -> Iterator[str]:
        """The address of `serve` or `demo`, which is stopped at the end."""
        port = str(free_port())
        with subprocess.Popen(
            [self.environment / "bin" / "alsobought", *words],
            env=self.variables(ALSOBOUGHT_PORT=port),
            cwd=at,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            url = f"http://127.0.0.1:{port}"
            try:
                _wait_for(f"{url}/readyz", process)
                yield url
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def asked(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as got:
        return json.loads(got.read())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of a copy, with what an earlier build may have left in it."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, source / name)
    stale = source / "build" / "lib" / "alsobought" / "project" / "files" / "pipes" / "stale.sql"
    stale.parent.mkdir(parents=True)
    stale.touch()
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", made, source], check=True)
    (built,) = made.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    environment = _environment(folder / "venv")
    subprocess.run([*PIP, "--python", environment, "install", "--no-deps", "--no-index", wheel], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    (folder / "home").mkdir()
    return Installed(environment, folder / "home")


def _environment(at: Path) -> Path:
    venv.create(at, with_pip=False, symlinks=True)
    return at


@pytest.fixture(scope="module")
def myshop(installed: Installed) -> Path:
    """A project, with its warehouse, in the user's home."""
    assert installed("init", "myshop", at=installed.home).status == 0
    assert installed("migrate", "up", at=installed.home / "myshop").out.endswith("applied\n")
    return installed.home / "myshop"


def test_the_wheel_holds_the_project_and_nothing_stale(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        files = {name for name in names if name.startswith("alsobought/project/files/")}
        assert files == {f"alsobought/project/files/{name}" for name in project_files(ROOT)}
        assert (
            opened.read("alsobought/project/files/pipes/also_bought.sql")
            == (ROOT / "pipes" / "also_bought.sql").read_bytes()
        )
    assert "alsobought/py.typed" in names
    assert {"alsobought/web/kit/alsobought.min.js", "alsobought/web/kit/alsobought.d.ts"} < set(names)
    assert {"alsobought/project/starter/README.md", "alsobought/project/starter/gitignore"} < set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"alsobought"}


def test_the_version_is_that_of_the_project_file(installed: Installed) -> None:
    (version,) = re.findall(r'^version = "(.+?)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert installed("--version", at=installed.home).out == f"alsobought, version {version}\n"


def test_a_shop_serves_in_its_project(installed: Installed, myshop: Path) -> None:
    (version,) = re.findall(r"[\d.]+", installed("--version", at=myshop).out)
    line = {"event_type": "purchase", "user_id": "ada", "order_id": "o1"}
    with installed.serving("serve", at=myshop) as url:
        asked(f"{url}/events?wait=true", [line | {"item_id": "tea"}, line | {"item_id": "mug"}])
        rows = asked(f"{url}/pipes/also_bought?item_id=tea&min_baskets=1")["data"]
        assert rows[0]["other_item_id"] == "mug"
        assert asked(f"{url}/healthz") == {"status": "alive", "version": version}
    assert (myshop / "data" / "metadata").is_dir()


@pytest.mark.thorough
def test_cases_and_checks_run_in_the_project(installed: Installed, myshop: Path) -> None:
    assert installed("pipe", "new", "loved", at=myshop).out == "pipes/loved.sql\ntests/pipes/loved.yaml\n"
    assert installed("pipe", "test", "loved", at=myshop).out.endswith(" passed, 0 failed\n")
    assert installed("pipe", "check", "loved", at=myshop).out == "ok loved\n"
    assert installed("migrate", "schema", "--check", at=myshop).status == 0


def test_the_demo_needs_an_empty_folder_only(installed: Installed) -> None:
    empty = installed.home / "empty"
    empty.mkdir()
    with installed.serving("demo", "--dataset", "toyshop", at=empty) as url:
        assert asked(f"{url}/pipes/popular?limit=3")["rows"] == 3
    assert [path.name for path in empty.iterdir()] == ["data"]
    for words in (["pipe", "new", "loved"], ["pipe", "fmt"], ["migrate", "new", "x"], ["serve", "--edit"], ["upgrade"]):
        assert_error(installed(*words, at=empty), "the files of the installed package", "alsobought init")


def test_an_older_project_is_brought_up_to_the_package(installed: Installed) -> None:
    assert installed("init", "older", at=installed.home).status == 0
    older = installed.home / "older"
    manifest = read_manifest(older)
    assert manifest
    manifest.version = "0.1.0"
    del manifest.files["pipes/swing.sql"]
    write_manifest(older, manifest)
    (older / "pipes" / "swing.sql").unlink()
    (older / "pipes" / "popular.sql").write_text("-- Ours.\nselect 1\n")
    ran = installed("upgrade", at=older)
    assert ran.out.splitlines()[0] == "added pipes/swing.sql"
    assert "kept pipes/popular.sql: " in ran.out
    assert "1 file added or updated, from 0.1.0 to " in ran.out
    assert (older / "pipes" / "swing.sql").read_bytes() == (ROOT / "pipes" / "swing.sql").read_bytes()


@pytest.mark.thorough
def test_the_wheel_brings_its_dependencies(wheel: Path, tmp_path: Path) -> None:
    """Nothing of the tests' environment: what pip installs with the wheel is enough to make a shop and run a case."""
    environment = _environment(tmp_path / "venv")
    subprocess.run([*PIP, "--python", environment, "install", wheel], check=True)
    installed = Installed(environment, tmp_path)
    assert installed("init", "myshop", at=tmp_path).status == 0
    assert installed("pipe", "test", "all_items", at=tmp_path / "myshop").out.endswith(" passed, 0 failed\n")
    with installed.serving("demo", "--dataset", "toyshop", at=tmp_path / "myshop") as url:
        assert asked(f"{url}/pipes/trending?limit=3")["rows"] == 3
