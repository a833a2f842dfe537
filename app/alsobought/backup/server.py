"""Backups of a ClickHouse server: its own BACKUP, from a moment between two batches, with our manifest beside it.

The writer starts BACKUP and waits until the server has collected the parts of all tables: parts never change, so that is the
moment which is backed up, and no event is without its counts. The server then copies while events are stored.

A backup has what changed since the latest full one, its base. So it needs that one and no other, and RESTORE is told where it is.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from alsobought.backup import erasures
from alsobought.backup.facts import facts_of, identity_of
from alsobought.backup.manifest import SERVER_FORMAT, Facts, Manifest, ServerCopy, encode, new_id
from alsobought.backup.retention import backup_ids, manifest_name, prune, read_manifest, require_same_warehouse
from alsobought.backup.server_operations import base_settings, cancel, follow, poll, start
from alsobought.backup.store import SERVER, Store
from alsobought.counts.rebuild import ProgressBar, ServiceHandle
from alsobought.errors import Busy, NotStored, Unusable
from alsobought.failpoints import reach
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.recovery import last_batch
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

ATTEMPTS = 5
COLLECT_SECONDS = 60.0  # for the list of all parts
FULL_AFTER = 7  # backups, if all are kept
COMPLETE = ".backup"  # the server writes it last


class Begun(msgspec.Struct, frozen=True):
    """A BACKUP whose moment is fixed, while the server copies."""

    id: str
    pause_seconds: float
    facts: Facts


def begin(writer: Writer, target: str, base: str) -> dict[str, Any]:
    """Starts BACKUP and returns the fields of `Begun` once its moment is fixed. On the writer's thread, under its lease.

    Raises Unusable if the server refuses, LeaseLost if another writer stored meanwhile.
    """
    started, identity, warehouse = time.monotonic(), str(uuid.uuid4()), writer.warehouse
    facts = facts_of(warehouse, last_batch(warehouse), writer.as_of)
    start(
        warehouse,
        f"backup database {warehouse.database} to {target} settings id = {quoted(identity)}, async = 1{base_settings(base)}",
    )
    try:
        for operation in poll(warehouse, identity):
            if operation.files or operation.status != "CREATING_BACKUP":
                break
            if time.monotonic() - started > COLLECT_SECONDS:
                raise Unusable("the server did not list the parts of its tables in time", "Try again")
        writer.confirm()
    except BaseException:
        cancel(warehouse, identity)
        raise
    pause = round(time.monotonic() - started, 4)
    fields: dict[str, Any] = msgspec.to_builtins(Begun(identity, pause, facts))
    return fields


def back_up_server(service: ServiceHandle, store: Store, keep: int, bar: ProgressBar) -> Manifest:
    """Has the server take a backup, and returns its manifest. With `keep`, deletes all but so many. Raises Busy, Unusable."""
    if service.warehouse.replicated:
        raise Unusable(
            "a shard with replicas is not backed up by this command", "Its replicas are copies; or run BACKUP … there"
        )
    warehouse = service.warehouse
    with store.locked():
        store.clean()
        require_same_warehouse(store, identity_of(warehouse))
        _refuse_beside_another(warehouse, store)
        started, created_at = time.monotonic(), datetime.now(UTC)
        names = {name.split("/")[1] for name in store.sizes(SERVER)}
        identity = new_id(created_at, {*backup_ids(store), *names})
        base = _base(store, keep, service.settings.backup_retention_days)
        folder = f"{SERVER}/{identity}"
        begun = begin_again(service, store, folder, base)
        reach("backup.begun")
        size = follow(warehouse, begun.id, "Copying", bar, "the backup failed")
        reach("backup.copied")
        files = {name.removeprefix(f"{folder}/"): length for name, length in store.sizes(folder).items()}
        if COMPLETE not in files:
            raise Unusable(
                f"the server wrote its backup elsewhere: {folder} in {store.name} is empty",
                "Name a folder that the server and this machine share, or object storage",
            )
        manifest = Manifest(
            format=SERVER_FORMAT,
            id=identity,
            created_at=created_at,
            seconds=round(time.monotonic() - started, 3),
            pause_seconds=begun.pause_seconds,
            new_bytes=sum(files.values()),
            facts=begun.facts,
            files=[],
            links={},
            folders=[],
            server=ServerCopy(
                folder=folder,
                base=base.folder.removeprefix(f"{SERVER}/") if base else "",
                size=size + files[COMPLETE],
                files=files,
            ),
        )
        erasures.note(store, erasures.recorded_erasures(warehouse))
        store.sync()
        store.write(manifest_name(manifest.id), encode(manifest))
        reach("backup.complete")
        prune(store, keep, service.settings.backup_retention_days)
        return manifest


def missing_files(store: Store, manifest: Manifest) -> dict[str, str]:
    """{file: missing or of another size}, of this backup alone, without its base."""
    copy = manifest.server
    if copy is None:
        return {}
    sizes = store.sizes(copy.folder)
    present = {name: sizes.get(f"{copy.folder}/{name}") for name in copy.files}
    return {
        name: "missing" if present[name] is None else "of another size"
        for name, size in copy.files.items()
        if present[name] != size
    }


def begin_again(service: ServiceHandle, store: Store, folder: str, base: ServerCopy | None) -> Begun:
    """Begins until no other writer stored meanwhile, at most ATTEMPTS times. Raises Unusable."""
    target, base_target = store.clickhouse(folder), store.clickhouse(base.folder) if base else ""
    for _ in range(ATTEMPTS):
        try:
            return msgspec.convert(service.do("begin a server backup", target, base_target), Begun)
        except NotStored as error:  # LeaseLost: another process stores events, too
            log.info("begun again: %s", error)
            for name in store.sizes(folder):
                store.delete(name)
    raise Unusable("other writers stored events each time the server listed its parts", "Try again")


def _base(store: Store, keep: int, days: int) -> ServerCopy | None:
    """The full backup that the next one may refer to; None if the next one has to be full, too.

    A full one is kept as long as another refers to it, so there is a new one after `keep` backups, or half the days of retention.
    """
    manifests = []
    with suppress(Unusable):  # a damaged manifest: begin anew
        manifests = [read_manifest(store, identity) for identity in backup_ids(store)]
    full = next((manifest for manifest in reversed(manifests) if manifest.server and not manifest.server.base), None)
    if full is None or missing_files(store, full):
        return None
    number = sum(manifest.id >= full.id for manifest in manifests)
    is_old = days and datetime.now(UTC) - full.created_at > timedelta(days=days / 2)
    return full.server if number < (keep or FULL_AFTER) and not is_old else None


def _refuse_beside_another(warehouse: Warehouse, store: Store) -> None:
    """Raises Busy while the server still writes for a command that was killed."""
    place = store.clickhouse(SERVER).partition("'")[2].partition("'")[0]
    sql = "select count() from system.backups where status = 'CREATING_BACKUP' and position(name, {place:String}) > 0"
    if int(warehouse.trusted_rows(sql, {"place": place}).data[0][0]):
        raise Busy(f"another backup to {store.name} is in progress", "Wait until the server has ended it")
