"""BACKUP and RESTORE of a ClickHouse server: start one, follow it in `system.backups`, cancel it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from alsobought.backup.store import Advance
from alsobought.counts.rebuild import ProgressBar
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.redaction import redacted
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

FIRST_POLL_SECONDS, POLL_SECONDS = 0.02, 0.5
TO_ALLOW = "Allow the path in backups.allowed_path of the server's configuration: docs/how-to/back-up.md"


class Operation(NamedTuple):
    """A row of system.backups. `size` is 0 until the parts are collected."""

    status: str
    error: str
    files: int
    size: int
    done: int


def start(warehouse: Warehouse, sql: str) -> None:
    try:
        warehouse.command(sql)
    except AlsoboughtError as error:
        raise failure("the server refuses", error.message) from error


def failure(what: str, reason: str) -> Unusable:
    is_path = "allowed_path" in reason or "allowed_disk" in reason
    return Unusable(
        f"{what}: {_first_sentence(redacted(reason))}", TO_ALLOW if is_path else "The server's log has more"
    )


def _first_sentence(reason: str) -> str:
    """The server's own words, without its code and its stack.

    >>> _first_sentence("Code: 36. DB::Exception: Path '/x' is not allowed. (BAD_ARGUMENTS), Stack trace (when …")
    "Path '/x' is not allowed"
    """
    text = reason.partition("DB::Exception: ")[2] or reason
    return text.partition(", Stack trace")[0].partition(" (")[0].strip().rstrip(".")


def poll(warehouse: Warehouse, identity: str) -> Iterator[Operation]:
    """The state of a BACKUP or RESTORE again and again, less often the longer it takes."""
    sql = (
        "select toString(status), error, num_files, total_size, greatest(uncompressed_size, bytes_read)"
        " from system.backups where id = {id:String}"
    )
    seconds = FIRST_POLL_SECONDS
    while True:
        rows = warehouse.trusted_rows(sql, {"id": identity}).data
        if not rows:
            raise Unusable("the server was restarted while it worked on the backup", "Run the command again")
        status, error, files, size, done = rows[0]
        yield Operation(str(status), str(error), int(files), int(size), int(done))
        time.sleep(seconds)
        seconds = min(POLL_SECONDS, 1.5 * seconds)


def follow(warehouse: Warehouse, identity: str, title: str, bar: ProgressBar, failed: str) -> int:
    """Waits until a BACKUP or RESTORE has ended, and returns its size. Raises Unusable if it failed."""
    try:
        size = next(operation.size for operation in poll(warehouse, identity) if operation.size or _ended(operation))
        with bar(title, size) as advance:
            return _advance_until_ended(warehouse, identity, advance, failed)
    except KeyboardInterrupt:
        cancel(warehouse, identity)
        raise


def _advance_until_ended(warehouse: Warehouse, identity: str, advance: Advance, failed: str) -> int:
    shown = 0
    for operation in poll(warehouse, identity):
        if _ended(operation):
            if operation.status not in ("BACKUP_CREATED", "RESTORED"):
                raise failure(failed, operation.error)
            advance(operation.size - shown)
            return operation.size
        done = min(operation.done, operation.size)
        advance(done - shown)
        shown = done
    raise AssertionError("unreachable")


def _ended(operation: Operation) -> bool:
    return operation.status not in ("CREATING_BACKUP", "RESTORING")


def cancel(warehouse: Warehouse, identity: str) -> None:
    sql = f"kill query where query_id in (select query_id from system.backups where id = {quoted(identity)}) sync"
    with suppress(AlsoboughtError):
        warehouse.command(sql)


def base_settings(base: str) -> str:
    """The settings for a base. Unless the server is told so, it writes the credentials of a bucket into the backup."""
    same_keys = ", use_same_s3_credentials_for_base_backup = 1" if base.startswith("S3(") else ""
    return f", base_backup = {base}{same_keys}" if base else ""
