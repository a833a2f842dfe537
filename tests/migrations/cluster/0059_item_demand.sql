-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The demand for an item, in memory for every item: in how many orders of the 7 and 28 days up to the newest purchase, in how many orders
-- and of how many buyers at all. item_key 0 stands for all items. The writer reloads it every few seconds while items are bought.
create dictionary if not exists shop.item_demand on cluster 'shards' (
    item_key UInt64,
    week_orders UInt32,
    month_orders UInt32,
    orders UInt32,
    buyers UInt32
)
primary key item_key
source(clickhouse(query '
    select
        item_key,
        toUInt32(greatest(0, sum(week))) as week_orders,
        toUInt32(greatest(0, sum(month))) as month_orders,
        toUInt32(greatest(0, sum(all_orders))) as orders,
        toUInt32(greatest(0, sum(all_buyers))) as buyers
    from (
        with (select max(day) from shop.daily_popularity where event_type = \'purchase\') as newest
        select
            item_key,
            sumIf(daily_popularity.orders, day > newest - 7) as week,
            sum(daily_popularity.orders) as month,
            0 as all_orders,
            0 as all_buyers
        from shop.daily_popularity
        where event_type = \'purchase\' and day > newest - 28
        group by item_key
        union all
        select item_key, 0, 0, sum(item_totals.orders), sum(item_totals.buyers)
        from shop.item_totals
        group by item_key
    )
    group by item_key
'))
layout(hashed())
lifetime(0)
settings(distributed_product_mode = 'global')
;
