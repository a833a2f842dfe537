"""The folder of an embedded warehouse: one process holds it, and a second one is told so in a sentence."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from app.errors import NotStored, WarehouseFault


def folder_of(dsn: str) -> Path | None:
    """The folder of an embedded warehouse; None for a server or for `:memory:`."""
    path = dsn.removeprefix("chdb://")
    return None if path in (dsn, ":memory:", "") else Path(path)


def holds_warehouse(folder: Path) -> bool:
    return (folder / "metadata").is_dir()


def how_to_have_one(folder: Path) -> str:
    """What to do where there is no warehouse: the demos keep theirs one folder further down."""
    below = sorted(path.name for path in folder.glob("*") if holds_warehouse(path))
    if below:
        return f"There is one in {' and in '.join(below)} below it: set ALSOBOUGHT_DATA={folder / below[0]}"
    return "`alsobought migrate up` makes one"


def claim(folder: Path, create: bool) -> None:
    if not create and not holds_warehouse(folder) and not folder.is_file():
        raise WarehouseFault(f"there is no warehouse in {folder}", how_to_have_one(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise WarehouseFault(
            f"the folder {folder} cannot be written: {error.strerror}", "Set ALSOBOUGHT_DATA"
        ) from error
    refuse_if_held(folder)


def refuse_if_full(folder: Path, size: int, min_free: int) -> None:
    """Raises NotStored if a batch of this many bytes could fill the disk.

    What a disk that fills up during an insert does to the engine is worse than an error: it may say OK and lose the part.
    """
    stat = os.statvfs(folder)
    free, needed = stat.f_bavail * stat.f_frsize, min_free + 2 * size
    if free < needed:
        raise NotStored(
            f"not enough space: the disk of {folder} has {free / 1e6:,.0f} MB left and {needed / 1e6:,.0f} MB are wanted",
            "Make room, or set ALSOBOUGHT_MIN_FREE_BYTES",
        )


def refuse_if_held(folder: Path) -> None:
    """Raises WarehouseFault if another process has this folder open."""
    if holder := held_by(folder):
        raise WarehouseFault(
            f"the folder {folder} is in use by process {holder}", "Stop it, or name another folder in ALSOBOUGHT_DATA"
        )


def held_by(folder: Path) -> str:
    """The process id of the one that has this folder open, or an empty string. Asks the engine's own lock."""
    status = folder / "status"
    if not status.exists():
        return ""
    with status.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            first = file.readline().decode(errors="replace")
            return first.removeprefix("PID:").strip() or "unknown"
    return ""
