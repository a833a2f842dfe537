"""A shop for each test: a copy of one that is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backup.shop import copied_shop, make_shop
from tests.support.process import Run


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_shop(tmp_path_factory.mktemp("original"))


@pytest.fixture
def run(original: Run, tmp_path: Path) -> Run:
    return copied_shop(original, tmp_path)
