"""The folder of the backups: bytes under their hash, complete or absent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from alsobought.backup.erasures import held_by
from alsobought.backup.manifest import ServerCopy, encode, new_id
from alsobought.backup.retention import backup_ids, expire, manifest_name, prune
from alsobought.backup.store import FolderStore, file_name
from alsobought.errors import Busy, Unusable
from alsobought.service.service import Service
from alsobought.service.upkeep import Upkeep
from alsobought.settings import Settings
from tests.backup.test_manifest import MANIFEST

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


def test_backups_go_by_number_and_by_age_but_never_the_newest(store: FolderStore) -> None:
    now = datetime.now(UTC)
    for days in (40, 30, 20, 3, 1):
        _take(store, now - timedelta(days=days))
    prune(store, keep=4)
    assert len(backup_ids(store)) == 4
    prune(store, keep=4, days=10)
    assert len(backup_ids(store)) == 2
    expire(store, keep=0, days=0)
    assert len(backup_ids(store)) == 2
    _take(store, now - timedelta(days=90))
    for identity in backup_ids(store)[1:]:
        store.delete(manifest_name(identity))
    expire(store, keep=4, days=10)
    assert len(backup_ids(store)) == 1


def test_the_full_backup_of_a_server_stays_while_another_refers_to_it(store: FolderStore) -> None:
    now = datetime.now(UTC)
    full, second, other = (new_id(now - timedelta(days=days), set()) for days in (3, 2, 1))
    for days, base in ((3, ""), (2, full), (1, "")):
        identity = new_id(now - timedelta(days=days), set())
        copy = ServerCopy(folder=f"server/{identity}", base=base, size=3, files={".backup": 3})
        _take(store, now - timedelta(days=days), server=copy)
        (store.folder / "server" / identity).mkdir(parents=True)
        store.write(f"server/{identity}/.backup", b"tea")
    prune(store, keep=2)
    assert backup_ids(store) == [full, second, other]
    prune(store, keep=1)
    assert backup_ids(store) == [other]
    assert [path.name for path in (store.folder / "server").iterdir()] == [other]


@pytest.mark.parametrize(
    ("settings", "until"),
    [
        (Settings(backup_hours=24), "until 2026-03-12 12:00 UTC"),
        (Settings(backup_retention_days=2), "until 2026-03-07 12:00 UTC"),
        (Settings(), "until 7 newer backups exist"),
        (Settings(backup_keep=0), "until you delete them"),
    ],
)
def test_forget_says_until_when_backups_hold_a_user(store: FolderStore, settings: Settings, until: str) -> None:
    taken = MANIFEST.created_at.replace(day=5, hour=12, minute=0, second=0)
    holding = msgspec.structs.replace(MANIFEST, created_at=taken)
    assert held_by(store, [holding], taken + timedelta(hours=1), settings).until == until


def test_a_service_deletes_backups_past_their_retention(make_shop: Callable[..., Service], store: FolderStore) -> None:
    now = datetime.now(UTC)
    for days in (3, 2, 0):
        _take(store, now - timedelta(days=days))
    shop = make_shop(backup_to=str(store.folder), backup_retention_days=1)
    upkeep = Upkeep(shop.writers[0], shop.warehouse.another())
    upkeep.expire()
    upkeep.stop()
    assert backup_ids(store) == [new_id(now, set())]


def _take(store: FolderStore, at: datetime, **fields: object) -> None:
    backup = msgspec.structs.replace(MANIFEST, id=new_id(at, set()), created_at=at, **fields)
    store.write(manifest_name(backup.id), encode(backup))
