"""Places where a test may kill this process, as the power would: `reach("migrate.started")`.

ALSOBOUGHT_FAILPOINT names the place, `migrate.started:3` the third time it is reached. It is no setting: only tests know it.
"""

from __future__ import annotations

import itertools
import os
import signal

VARIABLE = "ALSOBOUGHT_FAILPOINT"
_name, _, _times = os.environ.get(VARIABLE, "").partition(":")
_reached = itertools.count(1)


def reach(name: str) -> None:
    """Nothing, unless this is the place: then the process is gone, and nothing is closed or written any more."""
    if name == _name and next(_reached) == int(_times or 1):
        os.kill(os.getpid(), signal.SIGKILL)
