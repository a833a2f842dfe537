"""Restore the files of a backup into a folder, and verify the bytes of backups.

A folder that is being restored bears a mark, with which no warehouse opens there; a second run starts over.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from alsobought.backup.manifest import Manifest, StoredFile
from alsobought.backup.retention import backup_ids, read_manifest
from alsobought.backup.server import missing_files
from alsobought.backup.store import Advance, Store, file_name
from alsobought.counts.rebuild import ProgressBar
from alsobought.errors import Unusable
from alsobought.failpoints import reach
from alsobought.storage.folder_lock import RESTORING


class Damage(msgspec.Struct, frozen=True):
    """Bytes that are missing or are not what their hash says, and the backups that lack them."""

    path: str
    reason: str
    backups: list[str]


def restore_files(store: Store, manifest: Manifest, folder: Path, bar: ProgressBar) -> None:
    """Writes the files of a backup, each proven by its hash, into a folder that is empty or absent.

    Raises Unusable for another folder, and for damaged bytes: then the folder stays marked, and nothing opens it.
    """
    if manifest.server:
        raise Unusable(
            f"{manifest.id} is the backup of a ClickHouse server", "Name a server to restore it on in ALSOBOUGHT_DSN"
        )
    _prepare(folder)
    for name in manifest.folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
    with bar("Restoring", manifest.bytes) as advance, ThreadPoolExecutor(store.threads) as pool:
        for _ in pool.map(lambda file: fetch(store, file, folder / file.path, advance), manifest.files):
            pass
    for name, target in manifest.links.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    reach("restore.linked")
    os.sync()
    (folder / RESTORING).unlink()


def _prepare(folder: Path) -> None:
    """An empty folder with the mark."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / RESTORING).exists():  # an earlier run was killed: what is there came from it
            for path in folder.iterdir():
                if path.name != RESTORING:
                    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif any(folder.iterdir()):
            raise Unusable(f"the folder {folder} is not empty", "Name a new folder in --into")
        (folder / RESTORING).touch()
    except OSError as error:
        raise Unusable(
            f"the folder {folder} cannot be written: {(error.strerror or '').lower()}", "Name another in --into"
        ) from error


def fetch(store: Store, file: StoredFile, path: Path, advance: Advance) -> None:
    """Writes a file of a backup to a path. Raises Unusable if its bytes are damaged or missing."""
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb") as target:
            for chunk in store.read(file_name(file.sha256)):
                digest.update(chunk)
                target.write(chunk)
                advance(len(chunk))
    except FileNotFoundError:
        digest = hashlib.sha256(b"missing")
    if digest.hexdigest() != file.sha256:
        raise Unusable(
            f"{file.path} is damaged in the backup",
            "Use another backup (`alsobought backup ls`); `alsobought verify` shows which are whole",
        )
    reach("restore.file")


def verify_bytes(store: Store, manifests: Iterable[Manifest], bar: ProgressBar) -> list[Damage]:
    """Reads every file of these backups once and compares its hash. Damaged bytes are set aside, to be copied again.

    Of what a server wrote, only presence and sizes are compared: the hashes in its backups are its own.
    """
    manifests = list(manifests)
    users: dict[str, tuple[StoredFile, list[str]]] = {}
    for manifest in manifests:
        for file in manifest.files:
            backups = users.setdefault(file.sha256, (file, []))[1]
            if manifest.id not in backups:
                backups.append(manifest.id)
    damages = [
        Damage(name, reason, _with_base(manifests, manifest.id))
        for manifest in manifests
        for name, reason in missing_files(store, manifest).items()
    ]
    with (
        bar("Verifying", sum(file.size for file, _ in users.values())) as advance,
        ThreadPoolExecutor(store.threads) as pool,
    ):
        reasons = pool.map(lambda sha256: _fault(store, sha256, advance), users)
        for (file, backups), reason in zip(users.values(), reasons, strict=True):
            if reason:
                damages.append(Damage(file.path, reason, backups))
    return damages


def _with_base(manifests: Iterable[Manifest], base: str) -> list[str]:
    """This backup, and those that refer to it."""
    return [one.id for one in manifests if one.id == base or (one.server and one.server.base == base)]


def _fault(store: Store, sha256: str, advance: Advance) -> str:
    digest = hashlib.sha256()
    try:
        for chunk in store.read(file_name(sha256)):
            digest.update(chunk)
            advance(len(chunk))
    except FileNotFoundError:
        return "missing"
    if digest.hexdigest() == sha256:
        return ""
    store.set_aside(file_name(sha256))
    return "damaged"


def manifests_of(store: Store, identity: str = "") -> list[Manifest]:
    """One backup, or with "" all of them."""
    return [read_manifest(store, one) for one in ([identity] if identity else backup_ids(store))]
