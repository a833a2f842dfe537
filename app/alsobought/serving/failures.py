"""Remember failed computations for a second, so that many callers of a slow or broken pipe do not each run into the same fault."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from copy import copy

from alsobought.errors import AlsoboughtError

FAILURE_SECONDS = 1.0  # callers are asked to retry after as long
MAX_FAILURES = 1_000


class Failures:
    """The last error of each key, by its hash: a key has all values of a request. Not thread-safe."""

    def __init__(self) -> None:
        self._errors: OrderedDict[int, tuple[float, AlsoboughtError]] = OrderedDict()

    def add(self, key: Hashable, error: AlsoboughtError) -> None:
        """Remembers faults of the service, not those of a request, which are cheap to find again."""
        if error.status < 500:
            return
        self.forget(key)
        self._errors[hash(key)] = (
            time.monotonic() + FAILURE_SECONDS,
            copy(error),
        )  # without the frames of its traceback
        while len(self._errors) > MAX_FAILURES:
            self._errors.popitem(last=False)

    def get(self, key: Hashable) -> AlsoboughtError | None:
        """The error, for this caller alone to raise; None if there was none lately."""
        until, error = self._errors.get(hash(key), (0.0, None))
        if error is None or until > time.monotonic():
            return copy(error)
        self.forget(key)
        return None

    def forget(self, key: Hashable) -> None:
        self._errors.pop(hash(key), None)

    def clear(self) -> None:
        self._errors.clear()
