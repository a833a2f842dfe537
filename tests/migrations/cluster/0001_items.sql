-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The catalogue: one row per item as last sent; the newest version wins.
-- Read it with FINAL, or through the dictionary `catalogue`, which is cheaper.
create table if not exists shop.items_local on cluster 'shards' (
    item_id String,
    title String,
    category String,
    brand String,
    price Decimal(18, 4),
    available Bool,
    image String,
    attributes Map(String, String),
    version UInt64,
    updated_at DateTime64(3, 'UTC')
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/items_local', '{replica}', version)
order by item_id
;

create table if not exists shop.items on cluster 'shards' as shop.items_local
engine = Distributed('shards', 'shop', 'items_local', cityHash64(item_id))
;
