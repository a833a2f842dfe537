"""The backups of a store: which there are, whose they are, and which of them and of their bytes are deleted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from alsobought.backup import erasures
from alsobought.backup.manifest import Manifest, decode, in_order
from alsobought.backup.store import BACKUPS, FILES, SERVER, WAREHOUSE, Store, file_name
from alsobought.errors import Unusable
from alsobought.failpoints import reach

log = logging.getLogger(__name__)


def manifest_name(identity: str) -> str:
    return f"{BACKUPS}/{identity}.json"


def backup_ids(store: Store) -> list[str]:
    """The ids of all backups, oldest first."""
    names = (name.removeprefix(f"{BACKUPS}/") for name in store.sizes(BACKUPS))
    return in_order({name.removesuffix(".json") for name in names if name.endswith(".json")})


def read_manifest(store: Store, identity: str = "") -> Manifest:
    """A backup, by default the newest. Raises Unusable if there is none of this id, or if it is damaged."""
    ids = backup_ids(store)
    if not ids:
        raise Unusable(f"there are no backups in {store.name}", "Make one with `alsobought backup`")
    if identity and identity not in ids:
        raise Unusable(f"there is no backup {identity!r} in {store.name}", "`alsobought backup ls` lists them")
    identity = identity or ids[-1]
    return decode(b"".join(store.read(manifest_name(identity))), identity)


def prune(store: Store, keep: int, days: int = 0) -> None:
    """Deletes all but the newest `keep` backups, and those older than so many days, then the bytes that no backup names.

    0 is no limit. The newest stays, and so does the full backup that one of a server refers to. No bytes while a manifest is
    damaged: nobody knows which it names.
    """
    ids = backup_ids(store)
    remaining = ids[-keep:] if keep else ids
    if days:
        oldest = f"{datetime.now(UTC) - timedelta(days=days):%Y%m%dT%H%M%SZ}"
        remaining = [identity for identity in remaining if identity >= oldest] or ids[-1:]
    for identity in sorted(set(ids) - {*remaining, *_bases(store, remaining)}):
        store.delete(manifest_name(identity))
        reach("backup.expired")
    try:
        manifests = [read_manifest(store, identity) for identity in backup_ids(store)]
    except Unusable as error:
        log.warning("no space is freed: %s", error)
        return
    named = {file_name(file.sha256) for manifest in manifests for file in manifest.files}
    folders = tuple(f"{manifest.server.folder}/" for manifest in manifests if manifest.server)
    garbage = store.sizes(FILES).keys() - named
    garbage |= {name for name in store.sizes(SERVER) if not name.startswith(folders)}
    with ThreadPoolExecutor(store.threads) as pool:
        for _ in pool.map(store.delete, sorted(garbage)):
            reach("backup.pruned")
    if manifests:
        erasures.delete_outlived(store, min(manifest.created_at for manifest in manifests))


def expire(store: Store, keep: int, days: int) -> None:
    """Does the same between two backups. Raises Busy while one is being taken."""
    with store.locked():
        prune(store, keep, days)


def _bases(store: Store, ids: Iterable[str]) -> set[str]:
    """The full backups that these refer to. A damaged manifest is of no use, and neither is its base."""
    bases = set()
    for identity in ids:
        with suppress(Unusable):
            manifest = read_manifest(store, identity)
            bases |= {manifest.server.base} if manifest.server else set()
    return bases


def require_same_warehouse(store: Store, warehouse: str) -> None:
    """Raises Unusable if the backups there are those of another warehouse than that with this UUID."""
    try:
        owner = b"".join(store.read(WAREHOUSE)).decode().strip()
    except FileNotFoundError:
        store.write(WAREHOUSE, f"{warehouse}\n".encode())
        return
    if owner != warehouse:
        raise Unusable(f"{store.name} has the backups of another warehouse", "Name a place of its own")
