"""How far the answers of this process have come: what its own writer stored, or what another process did.

What a reader would guess wrong: a batch that stands in `ingest_batches` may still be on its way through the other views. An
answer that was computed in between is out of date, and nobody who only looks at new batches would notice. So a batch touches
the kept answers when it is first seen, again once no insert of events is under way any more, and again with the batch after
it, for then a crash in between is healed. After a crash with no batch behind it an answer is kept as long as its pipe says.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.serving.answers import Answers
from alsobought.serving.invalidation import Invalidator
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

EVERY_SECONDS = 0.05
MAX_NEW_EVENTS = 20_000  # events; when more are new at once, all kept answers go


class Visibility(Protocol):
    @property
    def as_of(self) -> datetime | None:
        """The ingest time of the newest event that answers may show."""

    @property
    def alive(self) -> bool: ...

    def start(self) -> None: ...

    def refresh(self) -> None:
        """Afterwards no kept answer is older than what all views had before."""

    def stop(self) -> None: ...


class WriterVisibility:
    """Of the process that writes: its writer touches the kept answers when all views have a batch."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @property
    def as_of(self) -> datetime | None:
        return self._writer.as_of

    @property
    def alive(self) -> bool:
        return self._writer.alive

    def start(self) -> None: ...

    def refresh(self) -> None: ...

    def stop(self) -> None: ...


class Happened(msgspec.Struct):
    user_id: str
    item_id: str
    order_id: str
    event_type: str


class News(msgspec.Struct):
    """The batches that are new together, and what the server does: inserts of events under way, loads of the catalogue.

    `rewritten` is the newest change of stored rows that is done (`storage.mutation_journal`).
    """

    newest: int
    rows: int
    first_at: datetime
    last_at: datetime
    inserts: int
    rewritten: int
    catalogue: tuple[str, float, int]


class Follower:
    """Of a process beside the one that writes: `refresh` once, or `start` a thread that does so all the time."""

    def __init__(self, warehouse: Warehouse, cache: Answers) -> None:
        self._warehouse, self._cache = warehouse, cache
        self._invalidate = Invalidator(warehouse, cache)
        self._newest = 0
        self._latest: Sequence[Happened] | None = ()
        self._catalogue: tuple[str, float, int] | None = None
        self._rewritten = 0
        self._refreshing, self._stopped = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._settled = True
        self.as_of: datetime | None = None

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        self._refresh(again=True)

    def _run(self) -> None:
        failing = False
        while not self._stopped.wait(EVERY_SECONDS):
            try:
                self._refresh(again=False)
            except Exception as error:
                if not failing:
                    log.warning("new batches are not seen: %s", error, exc_info=not isinstance(error, AlsoboughtError))
                failing = True
            else:
                if failing:
                    log.warning("new batches are seen again")
                failing = False

    def _refresh(self, *, again: bool) -> None:
        """`again`: what is known already touches the kept answers once more."""
        with self._refreshing:
            news = self._ask()
            if news.newest > self._newest:
                self._see(news)
            elif again or not (self._settled or news.inserts):
                self._invalidate_rows(self._latest)
                self._settled = self._settled or not news.inserts
            if (news.catalogue, news.rewritten) != (self._catalogue, self._rewritten):
                self._cache.clear()
                self._catalogue, self._rewritten = news.catalogue, news.rewritten

    def _see(self, news: News) -> None:
        rows = self._rows(news) if news.rows <= MAX_NEW_EVENTS else None
        self._invalidate_rows(None if rows is None or self._latest is None else [*self._latest, *rows])
        self._latest, self._newest, self._settled, self.as_of = rows, news.newest, False, news.last_at

    def _invalidate_rows(self, rows: Sequence[Happened] | None) -> None:
        if rows is None:
            self._cache.clear()
        elif rows:
            self._invalidate(rows)

    def _ask(self) -> News:
        """A load of the catalogue is known by its second and how long it took; so the end of that second is news, too."""
        database = self._warehouse.database
        sql = f"""
            select
                max(batch) as newest,
                sum(events) as rows,
                min(ingested_at) as first_at,
                max(ingested_at) as last_at,
                (
                    select count() from system.processes
                    where query_kind = 'Insert' and match(left(query, 300), {{insert:String}})
                ) as inserts,
                (select max(id * done) from {database}.rewrites) as rewritten,
                (
                    select any((toString(last_successful_update_time), loading_duration, last_successful_update_time < now()))
                    from system.dictionaries
                    where database = {{database:String}} and name = 'catalogue'
                ) as catalogue
            from {database}.ingest_batches
            where batch > {{seen:UInt64}}
        """
        insert = rf"(?i)^insert\s+into\s+`?{database}`?\.`?events`?\b"
        given = {"seen": self._newest, "database": database, "insert": insert}
        return msgspec.convert(self._warehouse.rows(sql, given).dicts()[0], News)

    def _rows(self, news: News) -> list[Happened]:
        sql = f"""
            select user_id, item_id, order_id, event_type
            from {self._warehouse.database}.events
            where batch > {{seen:UInt64}} and batch <= {{newest:UInt64}}
            and ingested_at between {{first:DateTime64(3, 'UTC')}} and {{last:DateTime64(3, 'UTC')}}
        """
        given: dict[str, Any] = {
            "seen": self._newest,
            "newest": news.newest,
            "first": news.first_at,
            "last": news.last_at,
        }
        return msgspec.convert(self._warehouse.rows(sql, given).dicts(), list[Happened])


def has_passed(warehouse: Warehouse, source: str, partition: int, offset: int) -> bool:
    """Whether an offset of Kafka is known to be read, by the ranges, which are noted when all views have their batch.

    On a reader's connection, for a caller who asks all the time; `ledger.next_offset` waits for that of the writer.
    """
    sql = f"""
        select max(next_offset) > {{offset:UInt64}}
        from (
            select next_offset
            from {warehouse.database}.ingest_ranges
            where source = {{source:String}} and partition = {{partition:UInt32}} and first_offset <= {{offset:UInt64}}
            order by first_offset desc
            limit 10
        )
    """
    return bool(warehouse.value(sql, {"source": source, "partition": partition, "offset": offset}))
