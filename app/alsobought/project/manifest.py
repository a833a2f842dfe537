"""The manifest of a project, `.alsobought.json`: the package's version and the hashes of its files at the last upgrade.

A file with the recorded hash is unchanged, so an upgrade may replace it; any other was changed by the shop.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from alsobought.errors import Unusable
from alsobought.pipes.source_file import write_through

FILE = ".alsobought.json"


class Manifest(msgspec.Struct):
    """`files`: path in the package → SHA-256. `renumbered`: the same → path here, where a number was taken."""

    version: str
    complete: bool = False
    files: dict[str, str] = {}
    renumbered: dict[str, str] = {}


def read_manifest(home: Path) -> Manifest | None:
    """None for a project without one. Raises Unusable."""
    try:
        return msgspec.json.decode((home / FILE).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unusable(
            f"{home / FILE} cannot be read: {error}", "Put it back with `git checkout .alsobought.json`"
        ) from error


def write_manifest(home: Path, manifest: Manifest) -> None:
    """Sorted, one file a line, so that git shows what an upgrade changed."""
    text = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2)
    write_whole(home / FILE, text + b"\n")


def hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_whole(path: Path, raw: bytes) -> None:
    """Replaces a file atomically: a killed process leaves the old content or the new. Raises Unusable."""
    path = path.resolve()  # a link stays one
    draft = path.with_name(f".{path.name}.draft")  # one that a kill left behind is written over
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_through(draft, "wb", path, raw, path.stat().st_mode if path.exists() else None)
    except OSError as error:
        raise Unusable(f"{path} cannot be written: {(error.strerror or type(error).__name__).lower()}") from error
