"""A shop of any size, made up in the engine: items by Zipf's law, users with log-normal activity, visits of twelve events.

Nothing travels through Python: events are an INSERT … SELECT over `numbers()` into `events`, and all counts are what the views
make of them. A number and a salt, hashed, give every choice, so that a shop is the same each time.

A visit is one user, one session and one order: on average four views and a basket of eight lines. Half of the items are among
the user's forty favourites, which people buy again and again; the others, and the favourites themselves, follow Zipf's law.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.storage.engine_settings import one_block, write_settings
from alsobought.storage.sql_text import settings_clause
from alsobought.writer.batching import batch_token
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.writer import Writer

SOURCE = "synthetic"
ZIPF = 0.9
ACTIVITY = 1.0  # the standard deviation of the logarithm of a user's activity
EVENTS_OF_A_VISIT, VIEWS = 12, 1 / 3
FAVOURITES = 40
CATEGORIES, BRANDS = 200, 500
DAYS = 365
SLICE = 250_000  # events of an insert


@dataclass(frozen=True)
class Size:
    """How large a shop is."""

    items: int
    users: int
    events: int


def fill(service: Service, size: Size, advance: Callable[[int], object]) -> None:
    """Stores the catalogue and the events of an empty shop, and makes the serving tables whole."""
    run = partial(_run, service.writers[0])
    run(partial(_insert_items, service.writers[0], size))
    for first in range(0, size.events, SLICE):
        count = min(SLICE, size.events - first)
        run(partial(_insert_events, service.writers[0], size, first, count))
        advance(count)
    run(partial(_note_all, service.writers[0]))


def items(service: Service, size: Size, count: int, salt: str) -> list[str]:
    """Items drawn by their popularity."""
    return _column(service, f"select {_item(size, _uniform('number', salt))} from numbers({count})")


def users(service: Service, size: Size, count: int, salt: str) -> list[str]:
    """Users who have events, drawn by their activity."""
    drawn = f"select {_user(size, 'number', salt)} as user from numbers({20 * count})"
    known = f"select user_id from {service.warehouse.database}.user_items"
    return _column(service, f"{drawn} where user in ({known}) limit {count}")


def posted_events(service: Service, size: Size, count: int, first: int) -> list[Event]:
    """Events that follow those of the shop, to be posted: without a time, a seq and a category."""
    sql = f"select event_type, user_id, session_id, item_id, order_id, order_size, price from ({_events(size, first, count)})"
    names = ("event_type", "user_id", "session_id", "item_id", "order_id", "order_size", "price")
    rows = service.warehouse.trusted_rows(sql).data
    return msgspec.convert([dict(zip(names, row, strict=True)) for row in rows], list[Event], strict=False)


def _run(writer: Writer, action: Callable[[], object]) -> None:
    """On the writer's thread, which alone gives a seq."""
    writer.run(MaintenanceTask(action, exclusive=True)).result()


def _insert_items(writer: Writer, size: Size) -> None:
    warehouse = writer.warehouse
    version, catalogue = (
        writer.take_seq(),
        f"select {_item_id('number + 1')} as item_id, number from numbers({size.items})",
    )
    select = f"""
        select item_id, 'Item ' || toString(number), {_choice("number", "category", CATEGORIES)},
            {_choice("number", "brand", BRANDS)}, {_price("item_id")}, true, {version}, now64(3)
        from ({catalogue})
    """
    columns = "item_id, title, category, brand, price, available, version, updated_at"
    warehouse.command(f"insert into {warehouse.database}.items ({columns}) {select} {one_block()}")
    writer.catalogue.items_changed = True
    writer.catalogue.reload()


def _insert_events(writer: Writer, size: Size, first: int, count: int) -> None:
    """One batch, as the writer stores it: one block, with its seqs, its number and a token."""
    warehouse, seq = writer.warehouse, writer.lease.seq.take(count)
    token = batch_token(SOURCE, 0, first, first + count - 1, seq, writer.lease.epoch)
    select = f"""
        select
            'synthetic-' || toString(number), event_type, user_id, session_id, item_id, order_id, order_size, 1, price,
            timestamp, '{SOURCE}', 0, number, {seq}, {writer.lease.epoch}, now64(3), {seq} + number - {first}
        from ({_events(size, first, count)})
    """
    columns = (
        "event_id, event_type, user_id, session_id, item_id, order_id, order_size, quantity, price,"
        " timestamp, source, partition, offset, batch, epoch, ingested_at, seq"
    )
    settings = settings_clause(write_settings(token))
    warehouse.command(f"insert into {warehouse.database}.events ({columns}) {select} {settings}")
    writer.serving.note((), seq + count - 1)


def _note_all(writer: Writer) -> None:
    writer.catalogue.demand_changed = True
    writer.catalogue.refresh(idle=True)
    for table in writer.serving.tables:
        writer.serving.note_all(table)


def _events(size: Size, first: int, count: int) -> str:
    """A SELECT of the events with these numbers, spread over a year that ends now."""
    days = f"toIntervalMillisecond(intDiv({DAYS * 86_400_000} * visit, {max(1, size.events // EVENTS_OF_A_VISIT)}))"
    favourite = _uniform("user_id", "favourite", _choice("number", "which", FAVOURITES))
    return f"""
        select
            number,
            intDiv(number, {EVENTS_OF_A_VISIT}) as visit,
            {_user(size, "visit", "visitor")} as user_id,
            's' || toString(visit) as session_id,
            if({_uniform("number", "type")} < {VIEWS}, 'view', 'purchase') as event_type,
            if(event_type = 'purchase', 'o' || toString(visit), '') as order_id,
            if(event_type = 'purchase', {round(EVENTS_OF_A_VISIT * (1 - VIEWS))}, 0) as order_size,
            if({_uniform("number", "habit")} < 0.5, {favourite}, {_uniform("number", "item")}) as drawn,
            {_item(size, "drawn")} as item_id,
            {_price("item_id")} as price,
            least(now64(3, 'UTC'), now64(3, 'UTC') - toIntervalDay({DAYS}) + {days}) as timestamp
        from numbers({first}, {count})
    """


def _uniform(*parts: str) -> str:
    """A number between 0 and 1: the hash of an expression and of a salt, and of more expressions."""
    first, salt, *others = parts
    return f"(cityHash64({', '.join([first, repr(salt), *others])}) / {2**64:d}.)"


def _choice(number: str, salt: str, count: int) -> str:
    return f"toString(cityHash64({number}, {salt!r}) % {count})"


def _item(size: Size, uniform: str) -> str:
    """An item by its popularity: the inverse of Zipf's distribution, as if ranks were real numbers."""
    power = 1 - ZIPF
    rank = f"pow(1 + {uniform} * (pow({size.items + 1}, {power:.3}) - 1), {1 / power:.6})"
    return _item_id(f"least({size.items}, toUInt64({rank}))")


def _item_id(rank: str) -> str:
    return f"'i' || toString({rank})"


def _price(item_id: str) -> str:
    return f"toDecimal64(1 + cityHash64({item_id}) % 5000 / 100, 2)"


def _user(size: Size, number: str, salt: str) -> str:
    """A user by activity: if weights are exp(s z), and z normal, the z of those drawn is normal around s. By Box and Muller."""
    first, second = _uniform(number, salt, "1"), _uniform(number, salt, "2")
    z = f"{ACTIVITY} + sqrt(-2 * log(greatest(1e-12, {first}))) * cos(2 * pi() * {second})"
    return f"'u' || toString(least({size.users - 1}, toUInt64({size.users} * (1 + erf(({z}) / sqrt(2))) / 2)))"


def _column(service: Service, sql: str) -> list[str]:
    return [str(row[0]) for row in service.warehouse.trusted_rows(sql).data]
