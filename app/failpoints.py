"""Points at which a test kills the process: `ALSOBOUGHT_FAILPOINT=load.submitted:3` is `kill -9` on the third submission.

Without the variable a point is one comparison.
"""

from __future__ import annotations

import itertools
import os
import signal

VARIABLE = "ALSOBOUGHT_FAILPOINT"
_name, _, _time = os.environ.get(VARIABLE, "").partition(":")
_reached = itertools.count(1)


def reach(name: str) -> None:
    """Does not return if this is the point, and the time, that the variable names."""
    if name == _name and next(_reached) == int(_time or 1):
        os.kill(os.getpid(), signal.SIGKILL)
