"""The cursor of a list: which rows earlier pages have shown, as a short text that the service can read back.

It has a hash for each row, so that the rows may change their order between two pages (ADR 22). Sorted, the hashes are written as
their differences in a Rice code: 2.9 bytes for each of 20 rows, 2.2 for each of 1,000. Base64 makes four characters of three.
"""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

MAX_ROWS = 1000  # after so many rows of all lists an answer has no cursor: a longer one would not fit into a URL
HASH_BITS = 26
MAX_LENGTH = 4000  # characters; a cursor of MAX_ROWS rows has 3,000
HEAD = struct.Struct(">IHH")  # fingerprint, depth, number of hashes


@dataclass(frozen=True)
class Shown:
    """The rows that were shown: the number of those in the longest list, and a hash for each in all lists, in any order."""

    depth: int = 0
    hashes: Sequence[int] = ()


NOTHING = Shown()


def row_hash(*identity: object) -> int:
    """A hash of HASH_BITS bits, the same in every process and version.

    >>> row_hash("tea", "mug")
    48416553
    """
    return crc32("\0".join(map(str, identity)).encode()) >> (32 - HASH_BITS)


def encode(fingerprint: int, shown: Shown) -> str:
    """`fingerprint`, of 32 bits, is that of the request to which the cursor belongs.

    >>> encode(1, Shown(2, [30, 20]))
    'AAAAAQACAAIAAAoAAAKA'
    """
    head = HEAD.pack(fingerprint, shown.depth, len(shown.hashes))
    return urlsafe_b64encode(head + _rice(sorted(shown.hashes))).rstrip(b"=").decode()


def decode(text: str) -> tuple[int, Shown]:
    """The fingerprint, and what was shown, with its hashes in ascending order.

    >>> decode("AAAAAQACAAIAAAoAAAKA")
    (1, Shown(depth=2, hashes=[20, 30]))

    Raises ValueError for any text that `encode` has not made, such as half of one.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError("too long")
    data = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if len(data) < HEAD.size:
        raise ValueError("too short")
    fingerprint, depth, number = HEAD.unpack_from(data)
    shown = Shown(depth, _unrice(data[HEAD.size :], number))
    if not 0 < depth <= number < MAX_ROWS or encode(fingerprint, shown) != text:
        raise ValueError("not made by encode")
    return fingerprint, shown


def _low_bits(number: int) -> int:
    """Of a difference so many bits are written as they are, the rest as so many ones: the shortest for random hashes."""
    return max(0, HASH_BITS - number.bit_length())


def _rice(ascending: Sequence[int]) -> bytes:
    low = _low_bits(len(ascending))
    bits, last = [], 0
    for value in ascending:
        high, rest = divmod(value - last, 1 << low)
        bits.append(f"{'1' * high}0{rest:0{low}b}")
        last = value
    text = "".join(bits)
    return int(text + "0" * (-len(text) % 8), 2).to_bytes((len(text) + 7) // 8, "big") if text else b""


def _unrice(data: bytes, number: int) -> list[int]:
    """Raises ValueError if the data end too early."""
    low = _low_bits(number)
    bits = "".join(f"{byte:08b}" for byte in data)
    values, last, at = list[int](), 0, 0
    for _ in range(number):
        end_of_high = bits.index("0", at)
        end = end_of_high + 1 + low
        if end > len(bits):
            raise ValueError("ends too early")
        last += ((end_of_high - at) << low) + int(bits[end_of_high:end], 2)
        values.append(last)
        at = end
    return values
