"""The folder of the backups: bytes under their hash, complete or absent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from alsobought.backup.store import FolderStore, file_name
from alsobought.errors import Busy, Unusable

TEA = hashlib.sha256(b"tea").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "backups", create=True)


def _file(tmp_path: Path, text: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(text)
    return path


def test_equal_bytes_are_kept_once(store: FolderStore, tmp_path: Path) -> None:
    path, copied = _file(tmp_path, b"tea"), list[int]()
    assert store.add(path, 3, copied.append) == (TEA, True)
    assert store.add(path, 3, copied.append) == (TEA, False)
    assert copied == [3, 3]
    assert store.sizes("files") == {file_name(TEA): 3}
    assert b"".join(store.read(file_name(TEA))) == b"tea"


def test_a_file_that_grows_is_cut_off_where_it_was_pinned(store: FolderStore, tmp_path: Path) -> None:
    assert store.add(_file(tmp_path, b"tea and more"), 3, lambda _: None) == (TEA, True)
    with pytest.raises(Unusable, match="became shorter"):
        store.add(_file(tmp_path, b"ab"), 3, lambda _: None)


def test_bytes_of_another_size_under_a_hash_are_replaced(store: FolderStore, tmp_path: Path) -> None:
    """A loss of power can leave an empty file."""
    kept = store.folder / file_name(TEA)
    kept.parent.mkdir()
    kept.touch()
    assert store.add(_file(tmp_path, b"tea"), 3, lambda _: None) == (TEA, True)
    assert kept.read_bytes() == b"tea"


def test_half_a_copy_is_cleaned_up(store: FolderStore) -> None:
    (store.folder / "incoming" / "half").write_bytes(b"t")
    store.clean()
    assert list((store.folder / "incoming").iterdir()) == []


def test_nothing_is_copied_to_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "backups", create=True, min_free=2**62)
    with pytest.raises(Unusable, match="is full up to ALSOBOUGHT_MIN_FREE_BYTES"):
        store.add(_file(tmp_path, b"tea"), 3, lambda _: None)
    assert store.sizes("files") == {}


def test_one_backup_at_a_time_goes_into_a_folder(store: FolderStore) -> None:
    with store.locked(), pytest.raises(Busy, match=r"another backup to .* is in progress"), store.locked():
        pass
    with store.locked():
        pass


def test_a_folder_without_backups_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="there are no backups in"):
        FolderStore(tmp_path)
