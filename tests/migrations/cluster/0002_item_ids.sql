-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Turns the key of an item, cityHash64 of its id, back into the id; catalogued or not.
-- May hold a key several times until parts merge: read it with any(item_id) ... group by item_key.
create table if not exists shop.item_ids_local on cluster 'shards' (
    item_key UInt64,
    item_id String
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/item_ids_local', '{replica}')
order by item_key
settings replicated_deduplication_window = 1000
;

create table if not exists shop.item_ids on cluster 'shards' as shop.item_ids_local
engine = Distributed('shards', 'shop', 'item_ids_local', cityHash64(item_id))
;
