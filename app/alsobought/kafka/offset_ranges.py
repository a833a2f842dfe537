"""Checkpoints: consumed offset ranges (`ingest_ranges`), and the offsets to resume at."""

from __future__ import annotations

from datetime import datetime

import msgspec

from alsobought.storage.warehouse import Warehouse


class OffsetRange(msgspec.Struct, frozen=True, rename={"duplicates": "repeats", "rejected": "refused"}):
    """Outcomes of the messages from `first_offset` to before `next_offset`.

    A row of `ingest_ranges`, whose columns `repeats` and `refused` keep the names that running
    writers of an older version insert into.
    """

    source: str
    partition: int
    first_offset: int
    next_offset: int
    messages: int
    stored: int
    duplicates: int
    rejected: int
    noted_at: datetime | None = None
    skipped: int = 0

    def merged_with(self, following: OffsetRange) -> OffsetRange:
        """This range and the one that begins where it ends, as one."""
        return msgspec.structs.replace(
            following,
            first_offset=self.first_offset,
            messages=self.messages + following.messages,
            stored=self.stored + following.stored,
            duplicates=self.duplicates + following.duplicates,
            rejected=self.rejected + following.rejected,
            skipped=self.skipped + following.skipped,
        )


def next_offsets(warehouse: Warehouse) -> dict[tuple[str, int], int]:
    """{(source, partition): next offset}, the source with the latest checkpoint last."""
    sql = f"""
        select source, partition, max(next_offset) as resumes_at
        from {warehouse.database}.ingest_ranges
        group by source, partition
        order by max(max(noted_at)) over (partition by source), source, partition
    """
    return {(row[0], int(row[1])): int(row[2]) for row in warehouse.trusted_rows(sql).data}


def topic_of(source: str) -> str:
    """The topic of a source.

    >>> topic_of("kafka:events:x7Yk")
    'events'
    """
    return source.split(":")[1]
