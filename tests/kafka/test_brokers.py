"""Tests that need a Kafka broker where none is available."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.brokers import WITHOUT

NEEDS_ONE = """
from tests.support.brokers import broker

def test_needs_a_broker():
    with broker(ours=True):
        pass

def test_needs_none():
    pass
"""


@pytest.mark.thorough
@pytest.mark.parametrize(("environment", "status"), [({}, 0), ({"CI": "true"}, 1)])
def test_a_run_names_the_tests_it_left_out_for_want_of_a_broker(
    tmp_path: Path, environment: dict[str, str], status: int
) -> None:
    (tmp_path / "test_two.py").write_text(NEEDS_ONE)
    outside = {name: value for name, value in os.environ.items() if name != "CI" and not name.startswith("PYTEST_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**outside, "KAFKA_HOME": str(tmp_path), "PYTEST_DEBUG_TEMPROOT": str(tmp_path), **environment},
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    *_, rule, why, named, summary = ran.stdout.splitlines()
    assert "1 tests not run here" in rule
    assert (why, named) == (WITHOUT, "  test_two.py::test_needs_a_broker")
    assert "1 passed, 1 skipped" in summary
