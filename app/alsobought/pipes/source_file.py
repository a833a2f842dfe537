"""Read and save the file of a pipe for an editor: atomically, and only if nobody else changed it."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alsobought.errors import NoSuchPipe, NotSaved
from alsobought.pipes.text_files import unix_lines
from alsobought.project_files import read_file, reason

_save_lock = threading.Lock()


@dataclass(frozen=True)
class Source:
    """The text of a file with Unix line endings, and the hash of its bytes."""

    text: str
    hash: str


def read_source(folder: Path, name: str) -> Source:
    """The text of a pipe's file.

    Raises NoSuchPipe, and NotSaved for a file that a text editor could not save again.
    """
    path = _path(folder, name)
    try:
        content = read_file(path)
    except FileNotFoundError as error:
        raise NoSuchPipe(f"no pipe called {name!r}", "Its file was removed") from error
    except OSError as error:
        raise NotSaved(f"pipes/{name}.sql cannot be read: {reason(error)}") from error
    try:
        return Source(unix_lines(content.decode("utf-8-sig")), hashlib.sha256(content).hexdigest())
    except UnicodeDecodeError as error:
        raise NotSaved(f"pipes/{name}.sql is not UTF-8 text", "Fix it with another editor") from error


def save(folder: Path, name: str, text: str, based_on: str) -> Source:
    """Replace the text that had the hash `based_on`. Readers see the old file or the new one, never a part.

    Raises NoSuchPipe, NotSaved.
    """
    path = _path(folder, name)
    if path.is_symlink():
        raise NotSaved(f"pipes/{name}.sql is a symbolic link", "Edit its target")
    with _save_lock:
        if read_source(folder, name).hash != based_on:
            raise NotSaved(
                f"pipes/{name}.sql was changed by somebody else", "Look at their text, then save yours again"
            )
        try:
            replace_file(path, text.encode())
        except OSError as error:
            raise NotSaved(f"pipes/{name}.sql cannot be written: {_reason(error)}") from error
        return read_source(folder, name)


def replace_file(path: Path, content: bytes) -> None:
    """Replace an existing file atomically; it keeps its permissions. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")  # not *.sql: no library reads it
    write_through(draft, "xb", path, content, path.stat().st_mode)


def write_through(draft: Path, mode: Literal["xb", "wb"], path: Path, content: bytes, permissions: int | None) -> None:
    """Write a draft, opened in this mode, and put it in the place of a file of the same folder. Raises OSError.

    A killed process leaves the old content or the new. Without `permissions` all may read the file: it is no data.
    """
    try:
        with draft.open(mode) as file:
            draft.chmod(0o644 if permissions is None else permissions & 0o777)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()


def _path(folder: Path, name: str) -> Path:
    """Raises NoSuchPipe for anything but the plain name of a file in the folder."""
    path = folder / f"{name}.sql"
    if not name.isidentifier() or path.parent != folder:
        raise NoSuchPipe(f"no pipe called {name!r}", "A name has letters, digits and _")
    return path


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
