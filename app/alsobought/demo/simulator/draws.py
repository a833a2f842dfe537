"""Random draws that are known by what they decide: the same key gives the same number, whatever was drawn before.

So a shopper decides the same in a shop with a list and in one without it (common random numbers).
"""

from __future__ import annotations

import math
from hashlib import blake2b
from statistics import NormalDist

_STEPS = 1 << 53
_NORMAL = NormalDist()


def uniform(*key: object) -> float:
    """Between 0 and 1, both excluded.

    >>> uniform(7, "ada", "click") == uniform(7, "ada", "click") != uniform(7, "ada", "buy")
    True
    """
    digest = blake2b("\0".join(map(str, key)).encode(), digest_size=8).digest()
    return ((int.from_bytes(digest) >> 11) + 0.5) / _STEPS


def normal(*key: object) -> float:
    """Of the standard normal distribution."""
    return _NORMAL.inv_cdf(uniform(*key))


def exponential(*key: object) -> float:
    """With the mean 1."""
    return -math.log(uniform(*key))


def poisson(mean: float, *key: object) -> int:
    """Of the Poisson distribution, for small means."""
    left, number = uniform(*key), 0
    share = math.exp(-mean)
    while left > share and number < 100:
        left -= share
        number += 1
        share *= mean / number
    return number
