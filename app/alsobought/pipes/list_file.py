"""Read a list of a shop from `sql/NAME.csv`, again when the file was saved.

Intake must not stop because of a typing error: a file with a fault is reported by `pipe check` and logged, and the last
valid one holds; a project without the file has that of the package.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from alsobought.errors import PipeFault
from alsobought.pipes.text_files import FileStamp, file_stamp, read_text
from alsobought.settings import packaged_home

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class _Read(Generic[T]):
    stamp: FileStamp
    value: T


class ListFile(Generic[T]):
    """A file of this name in the folder sql/ of any project. `parse` raises PipeFault for a text with a fault. Thread-safe."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self._name, self._parse = name, parse
        self._read: dict[Path, _Read[T]] = {}
        self._reading = threading.Lock()

    def of(self, home: Path) -> T:
        """The list of the project in this folder. Costs a look at the file's time; reads it only if that has changed."""
        path = home / "sql" / self._name
        stamp = file_stamp(path)
        known = self._read.get(home)
        if known is None or known.stamp != stamp:
            with self._reading:
                known = self._read[home] = _Read(stamp, self._parsed(path, known))
        return known.value

    def _parsed(self, path: Path, last: _Read[T] | None) -> T:
        own = packaged_home() / "sql" / self._name
        try:
            return self._parse(read_text(path if path.exists() else own))
        except (PipeFault, UnicodeDecodeError, OSError) as error:
            consequence = "the last valid list" if last else "the list of the package"
            log.warning("sql/%s: %s; %s holds", self._name, str(error).removeprefix(f"{self._name}, "), consequence)
        return last.value if last else self._parse(read_text(own))
