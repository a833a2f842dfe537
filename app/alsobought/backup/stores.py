"""Open the store that a command or a setting names."""

from __future__ import annotations

from pathlib import Path

from alsobought.backup.store import FolderStore, Store
from alsobought.errors import Unusable
from alsobought.settings import Settings
from alsobought.storage.folder_lock import folder_of


def open_store(settings: Settings, to: str = "", *, create: bool = False) -> Store:
    """The store in `to`, by default that of ALSOBOUGHT_BACKUP_TO; with `create`, a missing folder is made.

    Raises Unusable.
    """
    to = to or settings.backup_to
    if not to:
        raise Unusable(
            "no folder of backups is named", "Name one: `alsobought backup FOLDER`, or set ALSOBOUGHT_BACKUP_TO"
        )
    if "://" in to:
        raise Unusable(f"{to} is no folder", "Back up to a folder, and have your own tool copy that folder elsewhere")
    folder, data = Path(to).expanduser().resolve(), folder_of(settings.warehouse_dsn)
    if data and (folder == data.resolve() or data.resolve() in folder.parents):
        raise Unusable(f"{folder} is in the data folder itself", "Name a folder elsewhere, on another disk")
    return FolderStore(folder, create=create, min_free=settings.min_free_bytes)
