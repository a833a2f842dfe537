-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The items of each group of variants, in memory, in the order of their ids: what can be bought in place of an item that is sold out.
-- The writer reloads it when items changed.
create dictionary if not exists shop.variants on cluster 'shards' (
    group_key UInt64,
    item_keys Array(UInt64)
)
primary key group_key
source(clickhouse(query '
    select
        cityHash64(concat(\'group:\', group_id)) as group_key,
        arrayMap(one -> one.2, arraySort(groupArray((item_id, cityHash64(item_id))))) as item_keys
    from shop.items final
    where group_id != \'\'
    group by group_id
'))
layout(hashed())
lifetime(0)
settings(distributed_product_mode = 'global')
;
