"""Where backups are kept: a folder with the bytes of files under their SHA-256, and a manifest for each backup.

    files/3f/3fa9…           the bytes of a file, shared by all backups that have it
    backups/<id>.json        a backup: it exists once this file does
    erasures/<key>.json      a user who was forgotten, so that no restore brings the user back
    warehouse                whose backups these are
    server/<id>/…            what a ClickHouse server wrote itself with BACKUP

Whatever is written is complete under a temporary name and on the disk before it gets its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from alsobought.errors import Busy, Unusable
from alsobought.failpoints import reach
from alsobought.storage.folder_lock import free_bytes
from alsobought.storage.sql_text import quoted

CHUNK_BYTES = 1 << 20
FILES, BACKUPS, ERASURES, WAREHOUSE, SERVER = "files", "backups", "erasures", "warehouse", "server"
INCOMING = "incoming"  # copies that are not complete

Advance = Callable[[int], object]


class Store(Protocol):
    """Names are paths with slashes. Every method raises Unusable if the store cannot be reached."""

    @property
    def name(self) -> str: ...
    @property
    def threads(self) -> int:
        """How many files are copied at the same time."""

    def sizes(self, folder: str) -> dict[str, int]:
        """The names in a folder, at any depth, with their sizes; empty if there is none."""

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes, in chunks. Raises FileNotFoundError."""

    def write(self, name: str, data: bytes) -> None:
        """Writes or replaces a small file, at once."""

    def add(self, path: Path, size: int, advance: Advance) -> tuple[str, bool]:
        """Keeps the first `size` bytes of a local file under their hash. Returns the hash, and whether they were new."""

    def delete(self, name: str) -> None: ...

    def sync(self) -> None:
        """Afterwards everything written so far is durable."""

    def set_aside(self, name: str) -> None:
        """Moves damaged bytes away, so that the next backup copies them again."""

    def clean(self) -> None:
        """Deletes what a killed backup left half copied. Only under the lock."""

    def locked(self) -> AbstractContextManager[None]:
        """Held while a backup is taken. Raises Busy, at once."""

    def clickhouse(self, name: str) -> str:
        """A folder of the store as BACKUP and RESTORE of ClickHouse name it."""


def file_name(sha256: str) -> str:
    """The name of a file's bytes.

    >>> file_name("3fa9" + 60 * "0")[:12]
    'files/3f/3fa'
    """
    return f"{FILES}/{sha256[:2]}/{sha256}"


def chunks_of(file: IO[bytes], size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file. Raises Unusable if it is shorter."""
    while size > 0:
        chunk = file.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise Unusable(f"{file.name} became shorter while it was copied", "Take the backup again")
        size -= len(chunk)
        yield chunk


class FolderStore:
    """Backups in a folder: of another disk, if they are to outlive this one."""

    threads = 4

    def __init__(self, folder: Path, *, create: bool = False, private: bool = True, min_free: int = 0) -> None:
        """A folder that is not `private` keeps its mode: a ClickHouse server writes there, too."""
        self.folder, self.name, self._min_free = folder, str(folder), min_free
        if create:
            with self._reporting():
                for name in (FILES, BACKUPS, ERASURES, INCOMING):
                    (folder / name).mkdir(parents=True, exist_ok=True)
                if private:
                    folder.chmod(0o700)
        elif not all((folder / name).is_dir() for name in (FILES, BACKUPS)):
            raise Unusable(f"there are no backups in {folder}", "Make one with `alsobought backup FOLDER`")

    def sizes(self, folder: str) -> dict[str, int]:
        with self._reporting():
            paths = [path for path in (self.folder / folder).rglob("*") if path.is_file()]
            return {path.relative_to(self.folder).as_posix(): path.stat().st_size for path in paths}

    def read(self, name: str) -> Iterator[bytes]:
        with self._reporting(), (self.folder / name).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def write(self, name: str, data: bytes) -> None:
        with self._reporting():
            incoming = self.folder / INCOMING / name.replace("/", "-")
            with incoming.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            reach("backup.written")
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            incoming.rename(self.folder / name)
            _sync_folder((self.folder / name).parent)

    def add(self, path: Path, size: int, advance: Advance) -> tuple[str, bool]:
        with self._reporting():
            self._refuse_if_full(size)
            incoming = self.folder / INCOMING / f"{os.getpid()}-{path.stat().st_ino}"
            digest = hashlib.sha256()
            with path.open("rb") as source, incoming.open("wb") as file:
                for chunk in chunks_of(source, size):
                    digest.update(chunk)
                    file.write(chunk)
                    advance(len(chunk))
                stored = self.folder / file_name(digest.hexdigest())
                if is_new := not (stored.exists() and stored.stat().st_size == size):
                    file.flush()
                    os.fsync(file.fileno())
            if is_new:
                stored.parent.mkdir(exist_ok=True)
                incoming.rename(stored)
            else:
                incoming.unlink()
            reach("backup.file")
            return digest.hexdigest(), is_new

    def delete(self, name: str) -> None:
        with self._reporting():
            (self.folder / name).unlink(missing_ok=True)
            if name.startswith(f"{SERVER}/"):
                with suppress(OSError):  # until one is not empty
                    for depth in range(1, name.count("/")):
                        (self.folder / name).parents[depth - 1].rmdir()

    def sync(self) -> None:
        with self._reporting():
            for folder in (self.folder / FILES, *(self.folder / FILES).iterdir()):
                _sync_folder(folder)

    def set_aside(self, name: str) -> None:
        with suppress(OSError):  # the backups may be on a disk that is read-only
            (self.folder / "damaged").mkdir(exist_ok=True)
            (self.folder / name).rename(self.folder / "damaged" / name.rpartition("/")[2])

    def clean(self) -> None:
        with self._reporting():
            for path in (self.folder / INCOMING).iterdir():
                path.unlink()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with locked_file(self.folder / ".lock", f"another backup to {self.folder} is in progress"):
            yield

    def clickhouse(self, name: str) -> str:
        return f"File({quoted(str(self.folder / name))})"

    def _refuse_if_full(self, size: int) -> None:
        """Raises Unusable before the disk is full: it may be the one that the service stores events on."""
        if free_bytes(self.folder) < self._min_free + size:
            raise Unusable(
                f"the disk of {self.folder} is full up to ALSOBOUGHT_MIN_FREE_BYTES",
                "Make room, or keep fewer backups with --keep; older backups are whole",
            )

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Unusable(
                f"the backups in {self.folder} cannot be read or written: {reason}", "Older backups are whole"
            ) from error


@contextmanager
def locked_file(path: Path, message: str) -> Iterator[None]:
    """Holds a lock file; the end of the process releases it, also by kill -9. Raises Busy if another has it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(message, "Wait until it has ended, or stop it") from error
        yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
