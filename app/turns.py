"""One writer at a time on a server: whoever claimed last may store events, and finds everything stored that came before.

What a reader would guess wrong: a lock would not do. A process may be stopped between asking for the lock and storing, and
wake when another has gone on without it. So every insert asks again, in the same statement, whether its epoch is still the
newest (`Warehouse.insert_in_turn`), and a claim waits until the inserts that asked before it have ended.
"""

from __future__ import annotations

import os
import socket
import time
from datetime import datetime

import msgspec

from app.errors import NotStored
from app.warehouse import Warehouse

WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.02


class TurnLost(NotStored):
    """Another writer took over; what was in hand may be stored or not."""


def newest_epoch(warehouse: Warehouse) -> int:
    """0 if nobody ever claimed."""
    return int(warehouse.trusted_rows(f"select max(epoch) from {warehouse.database}.writers").data[0][0])


def claim(warehouse: Warehouse, epoch: int, now: datetime) -> None:
    """Makes this epoch the one that may store. It must be above the newest.

    Raises TurnLost if another claims at the same moment, NotStored if an insert from before does not end.
    """
    row = {"epoch": epoch, "holder": f"{socket.gethostname()}:{os.getpid()}", "claimed_at": now}
    warehouse.insert("writers", msgspec.json.encode(row))
    until = time.monotonic() + WAIT_SECONDS
    while _inserts_under_way(warehouse):
        if time.monotonic() > until:
            raise NotStored("an insert of the writer before does not end", "Look at system.processes")
        time.sleep(PAUSE_SECONDS)
    confirm(warehouse, epoch)


def confirm(warehouse: Warehouse, epoch: int) -> None:
    """Raises TurnLost if this epoch is not the newest any more."""
    if newest_epoch(warehouse) > epoch:
        raise TurnLost("another writer took over", "What was not stored may be sent again")


def _inserts_under_way(warehouse: Warehouse) -> bool:
    sql = "select count() from system.processes where startsWith(query, {start:String})"
    return bool(warehouse.trusted_rows(sql, {"start": f"insert into {warehouse.database}.events "}).data[0][0])
