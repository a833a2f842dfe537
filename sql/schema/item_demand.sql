-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0059_item_demand
-- The demand for an item, in memory for every item: in how many orders of the 7 and 28 days up to the newest purchase, in how many orders
-- and of how many buyers at all. item_key 0 stands for all items. The writer reloads it every few seconds while items are bought.

CREATE DICTIONARY item_demand
(
    `item_key` UInt64,
    `week_orders` UInt32,
    `month_orders` UInt32,
    `orders` UInt32,
    `buyers` UInt32
)
PRIMARY KEY item_key
SOURCE(CLICKHOUSE(QUERY '
    select
        item_key,
        toUInt32(greatest(0, sum(week))) as week_orders,
        toUInt32(greatest(0, sum(month))) as month_orders,
        toUInt32(greatest(0, sum(all_orders))) as orders,
        toUInt32(greatest(0, sum(all_buyers))) as buyers
    from (
        with (select max(day) from daily_popularity where event_type = \'purchase\') as newest
        select
            item_key,
            sumIf(daily_popularity.orders, day > newest - 7) as week,
            sum(daily_popularity.orders) as month,
            0 as all_orders,
            0 as all_buyers
        from daily_popularity
        where event_type = \'purchase\' and day > newest - 28
        group by item_key
        union all
        select item_key, 0, 0, sum(item_totals.orders), sum(item_totals.buyers)
        from item_totals
        group by item_key
    )
    group by item_key
'))
LIFETIME(MIN 0 MAX 0)
LAYOUT(HASHED())
