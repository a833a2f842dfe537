"""The placeholders of a shop, from `sql/placeholders.csv`."""

from __future__ import annotations

from pathlib import Path

from alsobought.pipes.csv_files import read_csv
from alsobought.pipes.list_file import ListFile
from alsobought.placeholders import Placeholders

NAME = "placeholders.csv"
KINDS = ("nobody", "nothing")


def placeholders_of(home: Path) -> Placeholders:
    """The placeholders of the project in this folder, as its file is now."""
    return _file.of(home)


def parse_placeholders(text: str) -> Placeholders:
    """The placeholders in the text of the file. Raises PipeFault."""
    file = read_csv(NAME, text, {})
    return Placeholders(*([row.values[0] for row in file.rows if row.values[1] == kind] for kind in KINDS))


_file = ListFile(NAME, parse_placeholders)
