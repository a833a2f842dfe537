"""Failpoints: points in the code at which a test kills this process, as a power failure would: `reach("migrate.started")`.

ALSOBOUGHT_FAILPOINT names one, and `migrate.started:3` its third pass. `migrate.started@4711` kills that process instead, such as
the ClickHouse server that this one uses. It is not a setting, for tests only.
"""

from __future__ import annotations

import itertools
import os
import signal

VARIABLE = "ALSOBOUGHT_FAILPOINT"
_point, _, _victim = os.environ.get(VARIABLE, "").partition("@")
_name, _, _times = _point.partition(":")
_reached = itertools.count(1)


def reach(name: str) -> None:
    """Kills the process with SIGKILL if this failpoint is set: nothing is closed or flushed."""
    if name == _name and next(_reached) == int(_times or 1):
        os.kill(int(_victim or os.getpid()), signal.SIGKILL)
