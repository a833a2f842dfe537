"""The rows a load refused: kept in a file, one JSON object each, counted by kind, the first few to be shown.

A line is on disk before the rows around it are stored. So a load that goes on after a crash keeps the lines of the rows
before the one it goes on with, and no row is there twice or missing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.loading.readers import Broken, Row

SHOWN = 20
KINDS = 1000  # problems told apart


class Reject(msgspec.Struct, frozen=True):
    """One line of the file. `given` is the row as it was."""

    row: int
    problem: str
    given: Any = None


_encode = msgspec.json.Encoder(enc_hook=repr).encode
_decode = msgspec.json.Decoder(Reject).decode


@dataclass
class Rejects:
    """Nothing is created while nothing is refused; without a path nothing ever is."""

    path: Path | None

    def __post_init__(self) -> None:
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.first: list[tuple[int, str]] = []

    def begin(self, first: int) -> None:
        """Forgets what an earlier load refused, but for rows before number `first`.

        Raises Unusable if the file is another's.
        """
        if not self.path or not self.path.exists():
            return
        try:
            with self.path.open("rb+") as file:
                end = 0
                for line in file:
                    refusal = self._read(line, foreign=end == 0)
                    if not refusal or refusal.row >= first:
                        break
                    self._count(refusal.row, refusal.problem)
                    end += len(line)
                file.truncate(end)
            if not end:
                self.path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def add(self, refused: Sequence[tuple[int, str, Row]]) -> None:
        """Counts rows and has them on disk when it returns."""
        for row, problem, _ in refused:
            self._count(row, problem)
        if not self.path or not refused:
            return
        try:
            with self.path.open("ab") as file:
                file.writelines(_encode(Reject(row, problem, _shown(given))) + b"\n" for row, problem, given in refused)
        except OSError as error:
            raise self._unwritable(error) from error

    def _read(self, line: bytes, *, foreign: bool) -> Reject | None:
        """None for a line that a crash cut short."""
        if line.endswith(b"\n"):
            try:
                return _decode(line)
            except msgspec.DecodeError:
                pass
        if foreign and not line.startswith(b'{"row":'[: len(line)]):
            raise Unusable(f"{self.path} is there and holds no refused rows", "Name another file with --rejected")
        return None

    def _count(self, row: int, problem: str) -> None:
        self.count += 1
        kind = kind_of(problem)
        self.kinds[kind if kind in self.kinds or len(self.kinds) < KINDS else "others"] += 1
        if len(self.first) < SHOWN:
            self.first.append((row, problem))

    def _unwritable(self, error: OSError) -> Unusable:
        why = (error.strerror or "").lower()
        return Unusable(f"refused rows cannot be written to {self.path}: {why}", "Name another file with --rejected")


def kind_of(problem: str) -> str:
    """A problem without its values.

    >>> kind_of("quantity: 'two' is not a number")
    'quantity: … is not a number'
    """
    return re.sub(r"'[^']*'|\b\d[\w:.,+-]*", "…", problem)


def _shown(given: Row) -> Any:
    """The row as JSON: itself if it is, else as text."""
    if isinstance(given, Broken):
        return given.given
    if isinstance(given, bytes):
        try:
            msgspec.json.decode(given, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return given.decode(errors="backslashreplace")
        return msgspec.Raw(given.strip())
    return given
