"""The time buckets of a count table: the dates from which its rows depend on later events only.

The view itself is queried, with generated events: one user a day who does everything.
"""

from __future__ import annotations

from datetime import date, timedelta

from alsobought.errors import Unusable
from alsobought.events import STORED_TYPES
from alsobought.storage.count_tables import CountTable
from alsobought.storage.scratch_database import Scratch
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

DAYS = 400


def bucket_of(warehouse: Warehouse, table: CountTable, day: date) -> tuple[date, date]:
    """The first day of the bucket that holds a day, and the first day of the next bucket.

    Raises Unusable if the buckets do not follow the time of the events.
    """
    scratch = Scratch(warehouse, "days")
    ours = warehouse.database
    try:
        warehouse.command(f"create table {scratch.name}.events engine = Memory as {ours}.events")
        event_types = f"arrayJoin([{', '.join(map(quoted, sorted(STORED_TYPES)))}])"
        names = (
            "event_type, user_id, item_id, session_id, order_id, order_size, quantity, price, category, timestamp, seq"
        )
        generated = (
            f"select {event_types}, toString(number), arrayJoin(['a', 'b']), 's', 'o', 2, 1, 1, 'c',"
            f" toDateTime64({quoted(f'{day} 00:00:00')}, 3, 'UTC') + toIntervalDay(number), 1 + number, 1"
            f" from numbers({DAYS})"
        )
        warehouse.command(f"insert into {scratch.name}.events ({names}, placement) {generated}")
        for history in table.reads:
            warehouse.command(f"create table {scratch.name}.{history} engine = Memory as {ours}.{history}")
        sql = f"select distinct toString(toDate({table.bucket})) as first from ({scratch.view(table)}) order by first"
        first_days = [date.fromisoformat(row[0]) for row in warehouse.trusted_rows(sql).data]
    finally:
        scratch.drop()
    if len(first_days) < 2 or first_days[0] > day or first_days[1] <= day:
        raise Unusable(
            f"the {table.bucket} of {table.name} is not a bucket of the timestamps of events",
            "Rebuild it whole, without --since",
        )
    return first_days[0], first_days[1]


def start_of(warehouse: Warehouse, table: CountTable, day: date) -> date:
    """The day, if a bucket begins with it.

    Raises Unusable that names the days nearby with which one does.
    """
    first, following = bucket_of(warehouse, table, day)
    if first != day:
        raise Unusable(
            f"{day} is inside a {table.bucket} of {table.name}, which is rebuilt as a whole",
            f"Use --since {first} or --since {following}",
        )
    return day


def first_after(warehouse: Warehouse, table: CountTable, day: date) -> date:
    """The first day after this one with which a bucket begins."""
    first, following = bucket_of(warehouse, table, day + timedelta(days=1))
    return first if first > day else following


def literal(table: CountTable, day: str) -> str:
    """A day as a value of the bucket column."""
    column_type = table.types[table.bucket]
    if column_type.startswith("DateTime"):
        return f"toDateTime({quoted(f'{day} 00:00:00')}, 'UTC')"
    return f"toDate32({quoted(day)})" if column_type == "Date32" else f"toDate({quoted(day)})"
