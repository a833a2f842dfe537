"""Rejected rows of a load: written to a file as NDJSON, and counted by kind of problem.

A reject is on disk before the rows around it are stored. A load that resumes after a crash keeps the
rejects of rows before the one it resumes at, so that no reject is missing or there twice.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.events import STANDARD_TYPES
from alsobought.loading.readers import Malformed, Row

MAX_SHOWN = 20
MAX_KINDS = 1000


class Reject(msgspec.Struct, frozen=True):
    """One line of the file. `given` is the row as it was."""

    row: int
    problem: str
    given: Any = None


UNKNOWN_TYPE = re.compile(r"event_type: '([^':]+)' is not one of .*")


def flags_for_types(problems: Iterable[str]) -> str:
    """The flags that replace the unknown event types among these problems, empty if there are none.

    >>> flags_for_types(["event_type: 'addtocart' is not one of add_to_cart, view", "event_type: 'sale' is not one of view"])
    '--map-value event_type=addtocart:add_to_cart --map-value event_type=sale:TYPE'
    """
    words = dict.fromkeys(match[1] for problem in problems if (match := UNKNOWN_TYPE.fullmatch(problem)))
    pairs = [f"event_type={word}:{next(iter(get_close_matches(word, STANDARD_TYPES, n=1)), 'TYPE')}" for word in words]
    return " ".join(f"--map-value {shlex.quote(pair)}" for pair in pairs)


_encode = msgspec.json.Encoder(enc_hook=repr).encode
_decode = msgspec.json.Decoder(Reject).decode


@dataclass
class Rejects:
    """No file is created before the first reject; without a path never."""

    path: Path | None

    def __post_init__(self) -> None:
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.first: list[tuple[int, str]] = []

    def begin(self, first: int) -> None:
        """Delete the rejects of an earlier load, except those of rows before number `first`.

        Raises Unusable if the file is not one of rejects.
        """
        if not self.path or not self.path.exists():
            return
        try:
            with self.path.open("rb+") as file:
                end = 0
                for line in file:
                    reject = self._parse(line, is_first=end == 0)
                    if not reject or reject.row >= first:
                        break
                    self._count(reject.row, reject.problem)
                    end += len(line)
                file.truncate(end)
            if not end:
                self.path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, rejected: Sequence[tuple[int, str, Row]]) -> None:
        """Count rows, each with its number and problem, and write them to disk before returning."""
        for row, problem, _ in rejected:
            self._count(row, problem)
        if not self.path or not rejected:
            return
        try:
            with self.path.open("ab") as file:
                file.writelines(
                    _encode(Reject(row, problem, _as_json(given))) + b"\n" for row, problem, given in rejected
                )
        except OSError as error:
            raise self._unwritable(error) from error

    def _parse(self, line: bytes, *, is_first: bool) -> Reject | None:
        """None for a line that a crash cut short.

        Raises Unusable if the first line is something else.
        """
        if line.endswith(b"\n"):
            try:
                return _decode(line)
            except msgspec.DecodeError:
                pass
        if is_first and not line.startswith(b'{"row":'[: len(line)]):
            raise Unusable(f"{self.path} exists and has no rejected rows in it", "Name another file with --rejected")
        return None

    def _count(self, row: int, problem: str) -> None:
        self.count += 1
        kind = kind_of(problem)
        self.kinds[kind if kind in self.kinds or len(self.kinds) < MAX_KINDS else "others"] += 1
        if len(self.first) < MAX_SHOWN:
            self.first.append((row, problem))

    def _unwritable(self, error: OSError) -> Unusable:
        reason = (error.strerror or "").lower()
        message = f"rejected rows cannot be written to {self.path}: {reason}"
        return Unusable(message, "Name another file with --rejected")


def kind_of(problem: str) -> str:
    """A problem without its values.

    >>> kind_of("quantity: 'two' is not a number")
    'quantity: … is not a number'
    """
    return re.sub(r"'[^']*'|\b\d[\w:.,+-]*", "…", problem)


def _as_json(given: Row) -> Any:
    """The row itself if it is JSON, else as text."""
    if isinstance(given, Malformed):
        return given.given
    if isinstance(given, bytes):
        try:
            msgspec.json.decode(given, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return given.decode(errors="backslashreplace")
        return msgspec.Raw(given.strip())
    return given
