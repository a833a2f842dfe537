"""Clients generated from the OpenAPI document: they type-check, and they work against a service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.__main__ import HERE, TOOLS, make
from tests.support.process import running, serving

EXPECTED = {
    "accepted": 2,
    "partners": ["mug"],
    "meta": 12,
    "next": None,
    "pages": ["mug", "tea"],
    "unchanged": 304,
    "posted": ["mug"],
    "fault": [400, "bad_parameters", ["limit"]],
}


@pytest.fixture(scope="module")
def shop(migrated_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service."""
    data = shutil.copytree(migrated_folder, tmp_path_factory.mktemp("shop") / "data", symlinks=True)
    with serving(running(data)) as service:
        yield service.url


@pytest.fixture(scope="module")
def made(shop: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both clients and the programs that use them."""
    assert TOOLS.exists(), "`make install` brings the generators"
    folder = tmp_path_factory.mktemp("clients")
    with urllib.request.urlopen(f"{shop}/openapi.json", timeout=30) as got:
        make(got.read(), folder)
    for name in ("shopper.ts", "shopper.py", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, folder)
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    return folder


def output_of(*words: object, cwd: Path) -> str:
    """The output of a program that must succeed."""
    environment = {**os.environ, "PYTHONPATH": str(cwd)}
    done = subprocess.run(
        [*map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def printed(text: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(text)
    return answer


def test_the_typescript_client_type_checks_and_works(shop: str, made: Path) -> None:
    output_of(TOOLS / "tsc", cwd=made)
    assert printed(output_of("node", "shopper.js", shop, cwd=made)) == EXPECTED


def test_the_python_client_type_checks_and_works(shop: str, made: Path) -> None:
    output_of(sys.executable, "-m", "mypy", "--strict", "--config-file=", "shopper.py", cwd=made)
    assert printed(output_of(sys.executable, "shopper.py", shop, cwd=made)) == EXPECTED
