"""The cases of a pipe, run in a process of their own: that of the service holds the one warehouse a process may have."""

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

SECONDS = 60.0
PATIENCE = 20.0  # seconds
_running = threading.Lock()


class CaseResult(msgspec.Struct, frozen=True):
    """`problem` is what is different, empty if nothing is; `expected` and `got` are rows, where rows are."""

    it: str
    ok: bool
    problem: str = ""
    milliseconds: float = 0.0
    expected: list[dict[str, Any]] | None = None
    got: list[dict[str, Any]] | None = None


def run_cases(settings: Settings, name: str) -> list[CaseResult]:
    """What `alsobought pipe test NAME --json` says; nothing for a pipe without cases.

    One run at a time. Raises Busy where another does not come to an end, TooSlow after a minute, Unusable for a file that
    cannot be read.
    """
    if not (settings.home_folder / "tests" / "pipes" / f"{name}.yaml").is_file():
        return []
    if not _running.acquire(timeout=PATIENCE):
        raise Busy("the cases of another text are running", "Run them again in a second")
    try:
        ran = subprocess.run(  # noqa: S603
            [
                sys.executable,
                "-P",
                "-m",
                "alsobought",
                "pipe",
                "test",
                name,
                "--json",
            ],  # -P: no modules of the current folder
            capture_output=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, f"{PREFIX}HOME": str(settings.home_folder)},
        )
    except subprocess.TimeoutExpired as error:
        raise TooSlow(f"the cases took longer than {SECONDS:.0f} s") from error
    finally:
        _running.release()
    try:
        return msgspec.json.decode(ran.stdout, type=list[CaseResult])
    except msgspec.MsgspecError as error:
        said = ran.stderr.decode(errors="replace").strip()
        log.warning("the cases of %s did not run: %s", name, said)
        raise Unusable(said.removeprefix("alsobought: ") or "the cases did not run") from error
