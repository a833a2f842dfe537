"""Damages files of a shop at rest, as a failing disk does."""

from __future__ import annotations

from pathlib import Path

from tests.support.process import Run


def part_of(run: Run, table: str) -> Path:
    """The folder of the part that all other parts of a table became: by merges, or by a change of rows."""
    folder = Path(run.settings["ALSOBOUGHT_DATA"]) / "data" / "alsobought" / table
    parts = (path for path in folder.resolve().iterdir() if path.name.startswith("all_"))
    return max(parts, key=lambda path: [int(number) for number in path.name.split("_")[3:]])


def damage(file: Path, how: str) -> None:
    """Flips a bit in the middle, cuts off the second half, or deletes the file."""
    content = bytearray(file.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
