"""The replicas of a shard, as one process uses them: the pinned one, which takes its writes, and the order of the others.

A process stays with the replica it has pinned, and moves on when that no longer answers. What it did there may not have arrived at
the next one, so a writer must take its lease again after each move (`writer.lease`): until then its thread gets ReplicaChanged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from alsobought.errors import AlsoboughtError, NotStored
from alsobought.redaction import shown_address
from alsobought.storage.results import Rows, decode_rows

log = logging.getLogger(__name__)

PEER_TIMEOUT_SECONDS = 5
PEER_PAUSE_SECONDS = 5.0  # before a peer that did not answer is asked again by `command`
READ_ONLY = "TABLE_IS_READ_ONLY"  # the replica has lost Keeper; another one may not have
WAIT_SECONDS = 60


class ReplicaChanged(NotStored):
    """The process writes to another replica by now. Take the lease there before anything else is done."""


class PinnedReplica:
    """The DSNs of a shard in the order of preference, one of which is pinned. `generation` counts the moves.

    `readers` are the same nodes with another user, or none.
    """

    def __init__(self, dsns: Sequence[str], readers: Sequence[str] = ()) -> None:
        self._dsns, self._readers = list(dsns), list(readers)
        self._index = self.generation = 0

    @property
    def several(self) -> bool:
        return len(self._dsns) > 1

    @property
    def dsn(self) -> str:
        return self._dsns[self._index]

    def in_order(self, *, but_pinned: bool = False) -> list[str]:
        """All of them from the pinned one on; or that one last."""
        first = self._index + but_pinned
        return self._dsns[first:] + self._dsns[:first]

    def readers_in_order(self) -> list[str]:
        if len(self._readers) == len(self._dsns):
            return self._readers[self._index :] + self._readers[: self._index]
        return self._readers or self.in_order()

    @property
    def peers(self) -> list[str]:
        return self.in_order()[1:]

    def pin(self, dsn: str) -> None:
        if dsn != self.dsn:
            log.warning("now writing to %s instead of %s", shown_address(dsn), shown_address(self.dsn))
            self._index = self._dsns.index(dsn)
            self.generation += 1


class Peers:
    """Questions and statements to the other replicas of a shard, over a connection to each."""

    def __init__(self, replicas: PinnedReplica, connect: Callable[[str], Any]) -> None:
        self._replicas, self._connect = replicas, connect
        self._clients: dict[str, Any] = {}
        self._failed_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def rows(self, sql: str, parameters: dict[str, Any]) -> list[Rows | None]:
        """The rows of each peer; None for one that does not answer."""
        return [self._ask(dsn, sql, parameters) for dsn in self._replicas.peers]

    def command(self, *statements: str) -> bool:
        """Runs statements on every peer that answers. Returns False if one failed, or is not asked after it has just failed."""
        done = True
        for dsn in self._replicas.peers:
            if time.monotonic() < self._failed_at.get(dsn, float("-inf")) + PEER_PAUSE_SECONDS:
                done = False
            elif not all(self._run(dsn, statement) for statement in statements):
                self._failed_at[dsn] = time.monotonic()
                done = False
        return done

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _ask(self, dsn: str, sql: str, parameters: dict[str, Any]) -> Rows | None:
        try:
            with self._lock:
                return decode_rows(self._client(dsn).raw_query(sql, parameters=parameters, fmt="JSONCompact"))
        except Exception as error:
            self._drop(dsn, error)
            return None

    def _run(self, dsn: str, statement: str) -> bool:
        try:
            with self._lock:
                self._client(dsn).command(statement)
        except Exception as error:
            self._drop(dsn, error)
            return False
        return True

    def _client(self, dsn: str) -> Any:
        if dsn not in self._clients:
            self._clients[dsn] = self._connect(dsn)
        return self._clients[dsn]

    def _drop(self, dsn: str, error: Exception) -> None:
        log.info(
            "replica %s: %s", shown_address(dsn), error if isinstance(error, AlsoboughtError) else type(error).__name__
        )
        with self._lock:
            if client := self._clients.pop(dsn, None):
                with suppress(Exception):
                    client.close()


def replica_settings(quorum: str) -> dict[str, Any]:
    """The settings of a connection that writes to replicated tables.

    An insert must not survive the session in Keeper that its server had when the epoch was tested, so the server may not repeat it.
    """
    return {
        "insert_quorum": quorum,
        "insert_quorum_parallel": 1,
        "insert_quorum_timeout": WAIT_SECONDS * 1000,
        "insert_keeper_max_retries": 0,
        "receive_timeout": WAIT_SECONDS,  # so long SYSTEM SYNC REPLICA waits
    }
