"""Read a file of a project without hanging: only a regular file of the project, up to a size.

Opening a FIFO waits for a writer, a device has no end, and a symbolic link may lead to any file of the machine.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from alsobought.settings import PROJECT_FOLDERS, is_project

MAX_BYTES = 16_000_000
OF_A_PROJECT = (*PROJECT_FOLDERS, "tests")
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe of the system",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotReadable(OSError):
    """No file of the project. `strerror` is the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EINVAL, reason)


def read_file(path: Path, limit: int = MAX_BYTES) -> bytes:
    """The bytes of a regular file, at most one more than the limit.

    Raises OSError, NotReadable for what is no file, for a link that leads out of all projects, and beyond MAX_BYTES.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise NotReadable(f"it is {KINDS.get(stat.S_IFMT(mode), 'no file')}")
    with os.fdopen(descriptor, "rb") as file:
        if path.is_symlink() and _leaves_projects(path):
            raise NotReadable("it is a symbolic link that leads out of the project")
        content = file.read(limit + 1)
    if len(content) > MAX_BYTES:
        raise NotReadable(f"it has more than {MAX_BYTES:,} bytes")
    return content


def read_utf8(path: Path) -> str:
    """The text of a file, with Unix line endings. Raises OSError, UnicodeDecodeError."""
    return read_file(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def reason(error: OSError) -> str:
    """Why a file cannot be read, without its path and number."""
    if error.errno == errno.ENXIO:
        return "it is a socket"
    if error.errno == errno.ELOOP:
        return "it is a symbolic link to itself"
    return (error.strerror or type(error).__name__).lower()


def _leaves_projects(link: Path) -> bool:
    """True unless the target is a file of a project, of this shop or of one that shares its files, or is beside the link."""
    target = Path(os.path.realpath(link))
    is_of_project = any(
        is_project(parent) and target.relative_to(parent).parts[0] in OF_A_PROJECT for parent in target.parents
    )
    return not is_of_project and not target.is_relative_to(os.path.realpath(link.parent))
