"""Read the placeholders of a shop from `sql/placeholders.csv`, again when the file was saved.

Intake must not stop because of a typing error: a file with a fault is reported by `pipe check` and logged, and the last
valid one holds; a project without the file has that of the package.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from alsobought.errors import PipeFault
from alsobought.pipes.csv_files import read_csv
from alsobought.pipes.text_files import FileStamp, file_stamp, read_text
from alsobought.placeholders import Placeholders
from alsobought.settings import packaged_home

log = logging.getLogger(__name__)

NAME = "placeholders.csv"


@dataclass(frozen=True)
class _Read:
    stamp: FileStamp
    placeholders: Placeholders


_read: dict[Path, _Read] = {}
_reading = threading.Lock()


def placeholders_of(home: Path) -> Placeholders:
    """The placeholders of the project in this folder. Costs a look at the file's time; reads it only if that has changed."""
    path = home / "sql" / NAME
    stamp = file_stamp(path)
    known = _read.get(home)
    if known is None or known.stamp != stamp:
        with _reading:
            known = _read[home] = _Read(stamp, _placeholders(path, known))
    return known.placeholders


def _placeholders(path: Path, last: _Read | None) -> Placeholders:
    own = packaged_home() / "sql" / NAME
    try:
        return parse_placeholders(read_text(path if path.exists() else own))
    except (PipeFault, UnicodeDecodeError, OSError) as error:
        consequence = "the last valid list" if last else "the list of the package"
        log.warning("sql/%s: %s; %s holds", NAME, str(error).removeprefix(f"{NAME}, "), consequence)
    return last.placeholders if last else parse_placeholders(read_text(own))


def parse_placeholders(text: str) -> Placeholders:
    """The placeholders in the text of the file. Raises PipeFault."""
    file = read_csv(NAME, text, {})
    return Placeholders(*([row.values[0] for row in file.rows if row.values[1] == kind] for kind in KINDS))


KINDS = ("nobody", "nothing")
