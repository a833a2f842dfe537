"""A backup is its manifest: which files the data folder had, with their hashes, and up to which event it is."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime

import msgspec

from alsobought.errors import Unusable

FORMAT, SERVER_FORMAT = 1, 2
ID_PATTERN = re.compile(r"\d{8}T\d{6}Z(-\d+)?")
DIGEST_PATTERN = re.compile(r"[0-9a-f]{64}")


class StoredFile(msgspec.Struct, frozen=True, array_like=True):
    """A file of the data folder. Its bytes are stored once, under their SHA-256, for all backups that have them."""

    path: str
    size: int
    sha256: str


class Progress(msgspec.Struct, frozen=True):
    """How far a Kafka partition was read: consumption resumes at `next_offset`."""

    topic: str
    partition: int
    next_offset: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the warehouse held when it was pinned. `warehouse` is the UUID of its database."""

    alsobought: str
    engine: str
    database: str
    warehouse: str
    events: int
    last_batch: int
    newest_event_at: datetime | None
    kafka: list[Progress]


class ServerCopy(msgspec.Struct, frozen=True, kw_only=True):
    """What a ClickHouse server wrote with BACKUP: its files with their sizes, below `folder`.

    What the full backup `base` has is not among them; `size` is that of both. Without a `base` it is a full backup.
    """

    folder: str
    base: str
    size: int
    files: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`new_bytes` were copied for this backup, the others an earlier one had. `pause_seconds`: so long the writer was held.

    A backup of an embedded warehouse has `files`, that of a ClickHouse server has `server`.
    """

    format: int = FORMAT
    id: str
    created_at: datetime
    seconds: float
    pause_seconds: float
    new_bytes: int
    facts: Facts
    files: list[StoredFile]
    links: dict[str, str]
    folders: list[str]
    server: ServerCopy | None = None

    @property
    def bytes(self) -> int:
        return self.server.size if self.server else sum(file.size for file in self.files)

    @property
    def file_count(self) -> int:
        return len(self.server.files) if self.server else len(self.files)


class _Sealed(msgspec.Struct):
    sha256: str
    backup: msgspec.Raw


def encode(manifest: Manifest) -> bytes:
    """The manifest as JSON, sealed by the hash of its text."""
    text = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Sealed(hashlib.sha256(text).hexdigest(), msgspec.Raw(text)))


def decode(text: bytes, name: str) -> Manifest:
    """Raises Unusable for a manifest that was altered, or that a newer version wrote."""
    try:
        sealed = msgspec.json.decode(text, type=_Sealed)
        written = bytes(sealed.backup)
        intact = hashlib.sha256(written).hexdigest() == sealed.sha256
        version = msgspec.json.decode(written, type=dict[str, msgspec.Raw]).get("format") if intact else None
        if intact and version is not None and msgspec.json.decode(version) not in (FORMAT, SERVER_FORMAT):
            raise Unusable(f"the backup {name} was written by a newer version", "Restore it with that version")
        manifest = msgspec.json.decode(written, type=Manifest) if intact else None
    except msgspec.MsgspecError:
        manifest = None
    if manifest is None or not _is_safe(manifest):
        raise Unusable(f"the manifest of the backup {name} is damaged", "Use another backup: `alsobought backup ls`")
    return manifest


def _is_safe(manifest: Manifest) -> bool:
    """No path leads out of the folder that is restored."""
    paths = [*(file.path for file in manifest.files), *manifest.links, *manifest.folders]
    return all(path and not path.startswith("/") and ".." not in path.split("/") for path in paths) and all(
        DIGEST_PATTERN.fullmatch(file.sha256) for file in manifest.files
    )


def new_id(now: datetime, taken: set[str]) -> str:
    """The time as an id, with a number if there is one of that second.

    >>> new_id(datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC), {"20260301T040506Z"})
    '20260301T040506Z-2'
    """
    first = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    candidates = [first, *(f"{first}-{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def in_order(ids: set[str]) -> list[str]:
    """Ids, oldest first.

    >>> in_order({"20260301T040506Z-10", "20260301T040506Z-2", "20260301T040506Z"})
    ['20260301T040506Z', '20260301T040506Z-2', '20260301T040506Z-10']
    """
    return sorted(ids, key=lambda text: (text.partition("-")[0], int(text.partition("-")[2] or 1)))
