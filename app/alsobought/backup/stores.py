"""Open the store that a command or a setting names: a folder, or object storage."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from alsobought.backup.store import FolderStore, Store
from alsobought.errors import Unusable
from alsobought.settings import Settings
from alsobought.storage.folder_lock import folder_of
from alsobought.storage.topology import require_one_warehouse

OBJECT_STORAGE = "s3://"


def open_store(settings: Settings, to: str = "", *, create: bool = False) -> Store:
    """The store in `to`, by default that of ALSOBOUGHT_BACKUP_TO; with `create`, a missing folder is made, a bucket is not.

    Each shard of a cluster has one of its own in there. Raises Unusable, also for a cluster as a whole.
    """
    require_one_warehouse(settings)
    to = to or settings.backup_to
    if not to:
        raise Unusable(
            "no place for backups is named",
            "Name one: `alsobought backup FOLDER` or `alsobought backup s3://bucket/prefix`, or set ALSOBOUGHT_BACKUP_TO",
        )
    if settings.shard:
        to = f"{to.rstrip('/')}/shard-{settings.shard}"
    data = folder_of(settings.warehouse_dsn)
    if to.startswith(OBJECT_STORAGE):
        # A data folder has a lock of its own, a server has none: there, the process is the holder.
        holder = data.resolve() if data else f"{settings.database}:{os.getpid()}"
        return _object_store(to, f"{socket.gethostname()}:{holder}")
    if "://" in to:
        raise Unusable(
            f"backups do not go to {to.partition('://')[0]}://", "Name a folder, or object storage: s3://bucket/prefix"
        )
    folder = Path(to).expanduser().resolve()
    if data and (folder == data.resolve() or data.resolve() in folder.parents):
        raise Unusable(f"{folder} is in the data folder itself", "Name a folder elsewhere, on another disk")
    return FolderStore(folder, create=create, private=bool(data), min_free=settings.min_free_bytes)


def _object_store(url: str, holder: str) -> Store:
    try:
        from alsobought.backup.object_store import ObjectStore
    except ModuleNotFoundError as error:
        if error.name != "obstore":
            raise
        raise Unusable(
            "backups to object storage need the package obstore", "Install it: pip install 'alsobought[s3]'"
        ) from error
    return ObjectStore(url, holder)
