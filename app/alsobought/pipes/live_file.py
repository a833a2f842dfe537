"""A file of a project that decides about intake, `sql/NAME.csv`: read again when it was saved.

Intake must not stop because of a typing error: a file with a fault is reported by `pipe check` and logged, and the last
valid one holds; a project without the file has that of the package.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from alsobought.errors import PipeFault
from alsobought.pipes.text_files import FileStamp, file_stamp, read_text
from alsobought.settings import packaged_home

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class LiveFile(Generic[T]):
    """`parse` makes a value of its text, or raises PipeFault."""

    name: str
    parse: Callable[[str], T]
    _known: dict[Path, tuple[FileStamp, T]] = field(default_factory=dict)
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def of(self, home: Path) -> T:
        """The value for the project in this folder. Costs a look at the file's time; reads it only if that has changed."""
        path = home / "sql" / self.name
        stamp = file_stamp(path)
        known = self._known.get(home)
        if known is None or known[0] != stamp:
            with self._reading:
                known = self._known[home] = stamp, self._read(path, known)
        return known[1]

    def _read(self, path: Path, last: tuple[FileStamp, T] | None) -> T:
        own = packaged_home() / "sql" / self.name
        try:
            return self.parse(read_text(path if path.exists() else own))
        except (PipeFault, UnicodeDecodeError, OSError) as error:
            consequence = "the last valid list" if last else "the list of the package"
            log.warning("sql/%s: %s; %s holds", self.name, str(error).removeprefix(f"{self.name}, "), consequence)
        return last[1] if last else self.parse(read_text(own))
