-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The vectors that came with items, of length 1, one row per item as last sent; empty where it came without. The newest version
-- wins: read with FINAL. Few rows to a granule, so that one vector is found without many others.
create table if not exists shop.brought_embeddings_local on cluster 'shards' (
    item_key UInt64,
    embedding Array(Float32),
    version UInt64
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/brought_embeddings_local', '{replica}', version)
order by item_key
settings index_granularity = 128
;

create table if not exists shop.brought_embeddings on cluster 'shards' as shop.brought_embeddings_local
engine = Distributed('shards', 'shop', 'brought_embeddings_local', rand())
;
