"""The known bots of a shop, from `sql/bots.csv`."""

from __future__ import annotations

from pathlib import Path

from alsobought.bots import Bots
from alsobought.pipes.csv_files import read_csv
from alsobought.pipes.live_file import LiveFile

NAME = "bots.csv"


def bots_of(home: Path) -> Bots:
    """The known bots of the project in this folder."""
    return _file.of(home)


def parse_bots(text: str) -> Bots:
    """The bots in the text of the file. Raises PipeFault."""
    return Bots(row.values[0] for row in read_csv(NAME, text, {}).rows)


_file = LiveFile(NAME, parse_bots)
