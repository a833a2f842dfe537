-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Whose offer an item is, in memory, for those that are a person's: most shops have none, and then it is empty.
-- A dictionary beside `catalogue`, because `events` reads that one, and so it cannot be dropped and made again.
-- The writer reloads it when items changed.
create dictionary if not exists shop.owners on cluster 'shards' (
    item_key UInt64,
    owner String,
    owner_key UInt64
)
primary key item_key
source(clickhouse(query '
    select cityHash64(item_id) as item_key, owner, cityHash64(owner) as owner_key from shop.items final where owner != \'\'
'))
layout(hashed())
lifetime(0)
settings(distributed_product_mode = 'global')
;
