"""The lock on the folder of an embedded warehouse: one process holds it, and a second one gets a clear error.

The engine has a lock too, but when two processes start at once, its message to the later one is obscure.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path
from typing import IO

from alsobought.errors import NotStored, WarehouseFault

HOLDER = ".holder"  # the file with the id of the process that holds the folder
RESTORING = ".restoring"  # the mark of a folder whose restore has not ended
CLAIM_ATTEMPTS = 20
CLAIM_PAUSE_SECONDS = 0.05
_held: dict[Path, IO[str]] = {}


def folder_of(dsn: str) -> Path | None:
    """The folder of an embedded warehouse; None for a server or for `:memory:`."""
    path = dsn.removeprefix("chdb://")
    return None if path in (dsn, ":memory:", "") else Path(path)


def contains_warehouse(folder: Path) -> bool:
    return (folder / "metadata").is_dir()


def hint_without_warehouse(folder: Path) -> str:
    """The hint where there is no warehouse. The demos keep theirs one folder further down."""
    below = sorted(path.name for path in folder.glob("*") if contains_warehouse(path))
    if below:
        return f"There is one in {' and in '.join(below)} below it: set ALSOBOUGHT_DATA={folder / below[0]}"
    return "Create one with `alsobought migrate up`"


def claim(folder: Path, create: bool) -> None:
    """Locks the folder for this process; with `create`, makes it. Raises WarehouseFault if that is not possible."""
    if "?" in str(folder):
        raise WarehouseFault(
            f"the folder {folder} has a ? in its name, where the engine expects options",
            "Name another in ALSOBOUGHT_DATA",
        )
    if (folder / RESTORING).exists():
        raise WarehouseFault(
            f"the folder {folder} was not restored completely", "Run `alsobought restore` into it again"
        )
    if not create and not contains_warehouse(folder) and not folder.is_file():
        raise WarehouseFault(f"there is no warehouse in {folder}", hint_without_warehouse(folder))
    if folder in _held:
        return
    try:
        if create:
            make_private(folder)
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / HOLDER).open("a+")
    except OSError as error:
        raise WarehouseFault(
            f"the folder {folder} cannot be written: {error.strerror}", "Set ALSOBOUGHT_DATA"
        ) from error
    for _ in range(CLAIM_ATTEMPTS):  # `holder_of` locks it for a moment
        if _locked(file, fcntl.LOCK_EX):
            break
        time.sleep(CLAIM_PAUSE_SECONDS)
    else:
        file.close()
        raise _in_use(folder, _first_line(folder / HOLDER))
    if holder := _engine_holder(folder):
        file.close()
        raise _in_use(folder, holder)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held[folder] = file


def make_private(folder: Path) -> None:
    """Makes the folder, or an existing one of ours, one that only its owner can enter; new files in it are the owner's only.

    A folder that holds other things than a warehouse, such as /tmp, stays as it is. Raises OSError.
    """
    os.umask(0o077)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    is_ours = status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX
    if is_open_to_others(folder) and is_ours and (contains_warehouse(folder) or not any(folder.iterdir())):
        folder.chmod(stat.S_IMODE(status.st_mode) & ~0o077)


def is_open_to_others(folder: Path) -> bool:
    """True if others than the owner of the folder can list or enter it."""
    return bool(folder.stat().st_mode & 0o077)


def release(folder: Path) -> None:
    """Releases the lock that `claim` took; the end of the process releases it too, also by kill -9."""
    if file := _held.pop(folder, None):
        file.close()


def free_bytes(folder: Path) -> int:
    """What is left to this user on the disk of a folder. Raises OSError."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def refuse_if_full(folder: Path, size: int, min_free: int) -> None:
    """Raises NotStored if a batch of this many bytes could fill the disk.

    A disk that fills up during an insert is worse than an error: the engine may return OK and lose the part.
    """
    free, needed = free_bytes(folder), min_free + 2 * size
    if free < needed:
        raise NotStored(
            f"not enough space: the disk of {folder} has {free / 1e6:,.0f} MB left and {needed / 1e6:,.0f} MB are needed",
            "Make room, or set ALSOBOUGHT_MIN_FREE_BYTES",
        )


def refuse_if_held(folder: Path) -> None:
    """Raises WarehouseFault if another process holds this folder."""
    if holder := holder_of(folder):
        raise _in_use(folder, holder)


def holder_of(folder: Path) -> str:
    """The id of the process that holds this folder, or an empty string."""
    if not (folder / HOLDER).exists():
        return _engine_holder(folder)
    with (folder / HOLDER).open() as file:
        if _locked(file, fcntl.LOCK_SH):  # while we have it, no process can open the engine, whose lock is tested here
            return _engine_holder(folder)
    return _first_line(folder / HOLDER)


def _engine_holder(folder: Path) -> str:
    status = folder / "status"
    if not status.exists():
        return ""
    with status.open() as file:
        return "" if _locked(file, fcntl.LOCK_EX) else _first_line(status).removeprefix("PID:").strip()


def _locked(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _first_line(path: Path) -> str:
    lines = path.read_text(errors="replace").splitlines()
    return lines[0] if lines else "unknown"


def _in_use(folder: Path, holder: str) -> WarehouseFault:
    return WarehouseFault(
        f"the folder {folder} is in use by process {holder}", "Stop it, or name another folder in ALSOBOUGHT_DATA"
    )
