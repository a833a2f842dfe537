"""Count tables on feeds are computed like those on events, and views that change forget no batch."""

from __future__ import annotations

import pytest

from alsobought.service.service import Service
from alsobought.storage.count_tables import count_tables, feeds_of
from alsobought.writer.recovery import recover, settle
from tests.counts.test_invariant import rebuilt
from tests.counts.test_rebuild import happened, is_right, live, store
from tests.support.fold import tables

__all__ = ["live"]
FEEDS = {"first_lines", "group_lines", "voices"}
OWN_TABLE = "create table {d}.order_days (day Date, lines Int64) engine = SummingMergeTree order by day"
OWN_VIEW = """
create materialized view {d}.order_days_mv to {d}.order_days as
select (arrayJoin(fresh) as line).2 as day, toInt64(count()) as lines from {d}.first_lines where kind = 'order' group by day
"""


def test_no_select_of_a_count_table_reads_a_feed(live: Service) -> None:
    assert feeds_of(live.warehouse) == FEEDS
    assert not live.warehouse.tables() & FEEDS
    assert not live.warehouse.schema().keys() & FEEDS
    for table in count_tables(live.warehouse):
        assert table.name not in FEEDS
        assert not any(f"{live.settings.database}.{feed}" in table.select for feed in FEEDS)


@pytest.mark.embedded
def test_a_table_of_ones_own_on_a_feed_is_rebuilt_from_events(live: Service) -> None:
    for sql in (OWN_TABLE, OWN_VIEW):
        live.warehouse.command(sql.format(d=live.settings.database))
    store(live, happened(0, 160))
    sql = f"select day, sum(lines) from {live.settings.database}.order_days group by day order by day"
    counted = live.warehouse.trusted_rows(sql).data
    live.warehouse.command(f"truncate table {live.settings.database}.order_days")
    rebuilt(live, "order_days")
    assert counted
    assert live.warehouse.trusted_rows(sql).data == counted


@pytest.mark.embedded
def test_a_settled_batch_is_not_inserted_again(live: Service) -> None:
    events = happened(0, 60)
    store(live, events)
    before = tables(live.warehouse)
    settle(live.warehouse)
    view = f"{live.settings.database}.user_categories_mv"
    select = next(table.select for table in count_tables(live.warehouse) if table.name == "user_categories")
    live.warehouse.command(f"drop view {view} sync")
    live.warehouse.command(f"create materialized view {view} to {live.settings.database}.user_categories as {select}")
    recover(live.warehouse)
    assert tables(live.warehouse) == before
    is_right(live, events)
