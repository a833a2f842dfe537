"""Take a backup: have the writer pin the files, copy those that no earlier backup has, write the manifest, keep the newest.

The manifest comes last, when everything it names is on the disk: a backup is complete or does not exist. Bytes that no
manifest names are left by a killed run; the next one uses them, or deletes them when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from alsobought.backup import erasures
from alsobought.backup.manifest import Manifest, StoredFile, encode, new_id
from alsobought.backup.pin import Pinned, unpin
from alsobought.backup.retention import backup_ids, manifest_name, prune, read_manifest, require_same_warehouse
from alsobought.backup.server import back_up_server
from alsobought.backup.store import FILES, Advance, Store, file_name, locked_file
from alsobought.counts.rebuild import ProgressBar, ServiceHandle
from alsobought.errors import Unusable
from alsobought.failpoints import reach
from alsobought.storage.folder_lock import folder_of

LOCK = ".backup"  # in the folder of the warehouse
CHECKSUMS = "checksums.txt"  # of a part: the hashes of its columns
SMALL_BYTES = 16_384  # a smaller file is read again, whatever the checksums of its part are


def back_up(service: ServiceHandle, store: Store, keep: int, bar: ProgressBar) -> Manifest:
    """Takes a backup and returns its manifest. With `keep`, deletes all but so many backups. Raises Busy, Unusable.

    A ClickHouse server takes its own (`backup.server`).
    """
    folder = folder_of(service.settings.warehouse_dsn)
    if folder is None:
        return back_up_server(service, store, keep, bar)
    in_progress = f"another backup of {folder} is in progress"
    with locked_file(folder / LOCK, in_progress), store.locked():
        store.clean()
        started, created_at = time.monotonic(), datetime.now(UTC)
        pinned = msgspec.convert(service.do("pin for a backup"), Pinned)
        reach("backup.pinned")
        try:
            require_same_warehouse(store, pinned.facts.warehouse)
            files, new_bytes = _Copy(store, pinned).run(bar)
        finally:
            unpin(folder)
        reach("backup.copied")
        store.sync()
        ids = backup_ids(store)
        manifest = Manifest(
            id=new_id(created_at, set(ids)),
            created_at=created_at,
            seconds=round(time.monotonic() - started, 3),
            pause_seconds=pinned.pause_seconds,
            new_bytes=new_bytes,
            facts=pinned.facts,
            files=files,
            links=pinned.links,
            folders=pinned.folders,
        )
        erasures.note(store, erasures.recorded_erasures(service.warehouse))
        store.write(manifest_name(manifest.id), encode(manifest))
        reach("backup.complete")
        prune(store, keep, service.settings.backup_retention_days)
        return manifest


class _Copy:
    """Copies the pinned files that the store lacks."""

    def __init__(self, store: Store, pinned: Pinned) -> None:
        self._store, self._pinned, self._root = store, pinned, Path(pinned.folder)
        self._stored = store.sizes(FILES)
        self._earlier: dict[str, StoredFile] = {}
        if backup_ids(store):
            with suppress(Unusable):  # a damaged manifest: everything is read again
                self._earlier = {file.path: file for file in read_manifest(store).files}

    def run(self, bar: ProgressBar) -> tuple[list[StoredFile], int]:
        """Every file with its hash, and how many bytes were new."""
        paths = sorted(path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file())
        sizes = {path: self._size(path) for path in paths}
        with (
            bar("Copying", sum(sizes.values())) as advance,
            ThreadPoolExecutor(self._store.threads) as pool,
        ):
            small = [path for path in paths if sizes[path] < SMALL_BYTES]
            done = self._add_all(pool, small, sizes, advance)
            unchanged = {
                path: self._earlier[path]
                for path in paths
                if path not in done and self._is_unchanged(path, sizes[path], done)
            }
            advance(sum(file.size for file in unchanged.values()))
            rest = [path for path in paths if path not in done and path not in unchanged]
            done |= self._add_all(pool, rest, sizes, advance)
        new = {file.sha256: file.size for file, is_new in done.values() if is_new}
        files = unchanged | {path: file for path, (file, _) in done.items()}
        return [files[path] for path in paths], sum(new.values())

    def _size(self, path: str) -> int:
        return self._pinned.sizes.get(path, (self._root / path).stat().st_size)

    def _add_all(
        self, pool: ThreadPoolExecutor, paths: Iterable[str], sizes: dict[str, int], advance: Advance
    ) -> dict[str, tuple[StoredFile, bool]]:
        def add(path: str) -> tuple[str, tuple[StoredFile, bool]]:
            sha256, is_new = self._store.add(self._root / path, sizes[path], advance)
            return path, (StoredFile(path, sizes[path], sha256), is_new)

        return dict(pool.map(add, paths))

    def _is_unchanged(self, path: str, size: int, done: dict[str, tuple[StoredFile, bool]]) -> bool:
        """True for a column of a part with the same checksums as in the latest backup, which still has its bytes."""
        earlier, checksums = self._earlier.get(path), f"{path.rpartition('/')[0]}/{CHECKSUMS}"
        if earlier is None or earlier.size != size or self._stored.get(file_name(earlier.sha256)) != size:
            return False
        now, then = done.get(checksums), self._earlier.get(checksums)
        return now is not None and then is not None and now[0].sha256 == then.sha256
