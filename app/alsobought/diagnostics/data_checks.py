"""Checks of what is stored: events, items, and how they fit together."""

from __future__ import annotations

from collections.abc import Iterator

from alsobought.diagnostics.findings import Finding
from alsobought.diagnostics.host_checks import time_since
from alsobought.settings import Settings
from alsobought.storage.count_tables import count_tables
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.event_categories import events_without

MAX_ATTRIBUTES = 10  # shown
UNKNOWN_DAYS = 30  # before the newest event
SAMPLE = 1000  # events that would give an empty count table rows


def check_rows(warehouse: Warehouse) -> Iterator[Finding]:
    """There are events, with a recent one, and items."""
    database = warehouse.database
    sql = f"select count(), toString(max(ingested_at)), (select uniqExact(item_id) from {database}.items) from {database}.events"
    events, newest, items = warehouse.trusted_rows(sql).data[0]
    if not int(events):
        yield Finding("events", "warning", "there are none", "`alsobought load events FILE`, or POST /events")
    else:
        yield Finding("events", "ok", f"{int(events):,}, the newest stored {time_since(newest + '+00:00')}")
    if not int(items):
        advice = "Answers have no titles: `alsobought load items FILE`, or POST /items"
        yield Finding("items", "warning", "there are none", advice)
    else:
        yield Finding("items", "ok", f"{int(items):,}")


def check_user_attributes(warehouse: Warehouse) -> Iterator[Finding]:
    """Users have attributes, if any were sent: how many, and those that few users have."""
    database = warehouse.database
    sql = f"""
        select (select count() from {database}.users final where not removed), groupArray((attribute, times))
        from (
            select arrayJoin(mapKeys(attributes)) as attribute, count() as times
            from {database}.users final
            where not removed
            group by attribute
            order by times desc, attribute
            limit {MAX_ATTRIBUTES}
        )
    """
    users, attributes = warehouse.trusted_rows(sql).data[0]
    if int(users):
        listed = ", ".join(f"{name} ({int(times):,})" for name, times in attributes)
        yield Finding("attributes", "ok", f"{int(users):,} users have some: {listed}")


def check_unknown_items(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """Items of recent events are in the catalogue, if there is one."""
    database = warehouse.database
    sql = f"""
        select count(), groupArray(3)(id) from (
            select any(item_id) as id, sum(events) as times
            from (
                select item_key, events from {database}.daily_popularity
                where item_key != 0 and day > (select max(day) from {database}.daily_popularity) - {UNKNOWN_DAYS}
            ) as recent
            inner join {database}.item_ids using item_key
            where item_key not in (select cityHash64(item_id) from {database}.items)
            group by item_key
            order by times desc, id
        )
    """
    listed = warehouse.trusted_rows(f"select count() from {database}.items").data[0][0]
    items, examples = warehouse.trusted_rows(sql).data[0]
    if int(listed) and int(items):
        message = f"{int(items):,} items of recent events are not in the catalogue, such as {', '.join(examples)}"
        if settings.catalogue_only:
            yield Finding("catalogue", "ok", f"{message}: no list shows them")
        else:
            advice = "Load them, or set ALSOBOUGHT_CATALOGUE_ONLY=true to keep them off every list"
            yield Finding("catalogue", "warning", message, advice)


def check_filled(warehouse: Warehouse) -> Iterator[Finding]:
    """No count table is empty because its view is younger than the events."""
    database, tables, behind = warehouse.database, count_tables(warehouse), 0
    for table in tables:
        if not warehouse.trusted_rows(f"select 1 from {database}.{table.name} limit 1").data:
            counted = table.over(f"(select * from {database}.events limit {SAMPLE})", database)
            if warehouse.trusted_rows(f"select 1 from ({counted}) limit 1").data:
                message = f"{table.name} is empty: its view is younger than the events"
                behind += 1
                yield Finding("counts", "warning", message, f"Run `alsobought rebuild {table.name}`")
    if not behind:
        yield Finding("counts", "ok", f"all {len(tables)} count tables have the rows that events make")


def check_rejected(warehouse: Warehouse) -> Iterator[Finding]:
    """What was posted and rejected in the last day, and not replayed."""
    sql = f"""
        select sum(times), groupArray(3)(concat(reason, ' (', toString(times), ')')) from (
            select reason, count() as times
            from {warehouse.database}.rejected_events
            where replayed_at is null and rejected_at > now() - interval 1 day
            group by reason
            order by times desc, reason
        )
    """
    rejected, reasons = warehouse.trusted_rows(sql).data[0]
    if int(rejected):
        message = f"{int(rejected):,} posted events and items were rejected in the last day: {', '.join(reasons)}"
        yield Finding("rejected", "warning", message, "`alsobought dead-letters ls` lists them")


def check_categories(warehouse: Warehouse) -> Iterator[Finding]:
    """Events have the categories of their items."""
    if events := events_without(warehouse):
        message = f"{events:,} events have no category, though their items have one"
        yield Finding("categories", "fault", message, "`alsobought rebuild user_categories` adds them")
