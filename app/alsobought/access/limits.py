"""Rate limits: how many requests a caller may send in a while, with a bounded memory.

The generic cell rate algorithm keeps one number per caller: the time at which all its requests would be over, were they
evenly spaced. There is no window at whose edge a caller gets twice the limit.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from alsobought.errors import Unusable

MAX_CALLERS = 100_000  # remembered by a limiter: 20 MB; beyond, the one that was longest unseen begins anew
UNITS = {"second": 1, "minute": 60, "hour": 3600}
RATE = re.compile(r"(\d{1,9}) ?/ ?(second|minute|hour)")


@dataclass(frozen=True)
class Rate:
    """So many requests in so many seconds; a caller that was quiet may send them all at once."""

    requests: int
    seconds: int

    def __str__(self) -> str:
        unit = next((unit for unit, seconds in UNITS.items() if seconds == self.seconds), f"{self.seconds} s")
        return f"{self.requests}/{unit}"


def read_rate(text: str) -> Rate | None:
    """The rate, None for an empty text.

    >>> read_rate("600/minute"), read_rate("")
    (Rate(requests=600, seconds=60), None)

    Raises Unusable.
    """
    if not text:
        return None
    if not (rate := RATE.fullmatch(text.strip())) or not int(rate[1]):
        raise Unusable(f"{text[:40]!r} is not a rate", "Write 600/minute, 20/second or 5000/hour")
    return Rate(int(rate[1]), UNITS[rate[2]])


class Verdict(NamedTuple):
    """`remaining` requests are possible at once; the next one is after `wait` seconds, 0 if this one is allowed."""

    rate: Rate
    remaining: int
    wait: float
    reset: float

    @property
    def allowed(self) -> bool:
        return self.wait <= 0


class Limiter:
    """Thread-safe. `processes`: each of so many counts for itself, and allows its share."""

    def __init__(
        self, processes: int = 1, clock: Callable[[], float] = time.monotonic, max_callers: int = MAX_CALLERS
    ) -> None:
        self._processes, self._clock, self._max = processes, clock, max_callers
        self._over_at: OrderedDict[Any, float] = OrderedDict()
        self._lock = threading.Lock()

    def hit(self, caller: Any, rate: Rate) -> Verdict:
        """Count a request of a caller. One that is refused does not count."""
        requests = max(1, math.ceil(rate.requests / self._processes))
        spacing = rate.seconds / requests
        with self._lock:
            now = self._clock()
            over_at = max(now, self._over_at.get(caller, now))
            wait = over_at + spacing - now - rate.seconds
            if wait > 1e-9:
                return Verdict(rate, 0, wait, over_at - now)
            over_at += spacing
            self._over_at[caller] = over_at
            self._over_at.move_to_end(caller)
            if len(self._over_at) > self._max:
                self._over_at.popitem(last=False)
        return Verdict(rate, int((rate.seconds - (over_at - now)) / spacing + 1e-6), 0.0, over_at - now)

    def __len__(self) -> int:
        return len(self._over_at)


def rate_headers(verdict: Verdict) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10, and `Retry-After` if refused."""
    headers = {
        "RateLimit-Policy": _policy(verdict.rate),
        "RateLimit": f'"requests";r={verdict.remaining};t={math.ceil(verdict.reset)}',
    }
    return headers if verdict.allowed else headers | {"Retry-After": str(max(1, math.ceil(verdict.wait)))}


@lru_cache(1000)
def _policy(rate: Rate) -> str:
    return f'"requests";q={rate.requests};w={rate.seconds}'
