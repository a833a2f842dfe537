"""The attributes of users that a shop takes from other formats, from `sql/user_attributes.csv`."""

from __future__ import annotations

from pathlib import Path

from alsobought.pipes.csv_files import read_csv
from alsobought.pipes.live_file import LiveFile
from alsobought.placeholders import Texts

NAME = "user_attributes.csv"


def listed_attributes_of(home: Path) -> Texts:
    """The list of the project in this folder, as its file is now."""
    return _file.of(home)


def parse_attributes(text: str) -> Texts:
    """The names in the text of the file. Raises PipeFault."""
    return Texts(row.values[0] for row in read_csv(NAME, text, {}).rows)


_file = LiveFile(NAME, parse_attributes)
