"""Run the cases of a pipe in a child process.

A process can open only one embedded warehouse, and the service has it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any

import msgspec

from alsobought.errors import Busy, TooSlow, Unusable
from alsobought.settings import PREFIX, Settings

log = logging.getLogger(__name__)

RUN_SECONDS = 60.0
WAIT_SECONDS = 20.0
_running = threading.Lock()


class CaseResult(msgspec.Struct, frozen=True):
    """`problem` is empty for a case that passed.

    `expected` and `got` are rows, or None where the case is not about rows.
    """

    it: str
    ok: bool
    problem: str = ""
    milliseconds: float = 0.0
    expected: list[dict[str, Any]] | None = None
    got: list[dict[str, Any]] | None = None


def run_cases(settings: Settings, name: str) -> list[CaseResult]:
    """The results of `alsobought pipe test NAME --json`; empty for a pipe without cases.

    One run at a time. Raises Busy if an earlier run does not finish in time, TooSlow after a
    minute, Unusable for a file that cannot be read.
    """
    if not (settings.home_folder / "tests" / "pipes" / f"{name}.yaml").is_file():
        return []
    if not _running.acquire(timeout=WAIT_SECONDS):
        raise Busy("other cases are still running", "Try again in a second")
    try:
        process = subprocess.run(  # noqa: S603
            # -P: do not import modules from the current folder
            [sys.executable, "-P", "-m", "alsobought", "pipe", "test", name, "--json"],
            capture_output=True,
            timeout=RUN_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, f"{PREFIX}HOME": str(settings.home_folder)},
        )
    except subprocess.TimeoutExpired as error:
        raise TooSlow(f"the cases took longer than {RUN_SECONDS:.0f} s") from error
    finally:
        _running.release()
    try:
        return msgspec.json.decode(process.stdout, type=list[CaseResult])
    except msgspec.MsgspecError as error:
        stderr = process.stderr.decode(errors="replace").strip()
        log.warning("the cases of %s did not run: %s", name, stderr)
        raise Unusable(stderr.removeprefix("alsobought: ") or "the cases did not run") from error
