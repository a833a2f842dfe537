-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Everything a pipe may want to print about an item, in memory, for every item ever seen: dictGet costs next to nothing.
-- The writer reloads it when items changed or a new id appeared.
create dictionary if not exists shop.catalogue on cluster 'shards' (
    item_key UInt64,
    item_id String,
    title String,
    category String,
    brand String,
    price Decimal(18, 4),
    available Bool default 1,
    image String
)
primary key item_key
source(clickhouse(query '
    select cityHash64(item_id) as item_key, item_id, title, category, brand, price, available, image
    from shop.items final
    union all
    select item_key, any(item_id), \'\', \'\', \'\', 0, true, \'\'
    from shop.item_ids
    where item_key not in (select cityHash64(item_id) from shop.items)
    group by item_key
'))
layout(hashed())
lifetime(0)
settings(distributed_product_mode = 'global')
;
