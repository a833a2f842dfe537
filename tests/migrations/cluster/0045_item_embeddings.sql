-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What `alsobought learn embeddings` made of baskets, titles or the shop's vectors (model): a vector of length 1 for each item, all of one
-- length. The learner makes the whole table anew and then gives it an index to search by, since that must know how long vectors are.
-- version, the same in every row, is the newest of the items whose own vectors it knows, else 0. No view fills this table.
create table if not exists shop.item_embeddings_local on cluster 'shards' (
    item_key UInt64,
    embedding Array(Float32),
    model LowCardinality(String),
    version UInt64
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/item_embeddings_local', '{replica}')
order by item_key
settings index_granularity = 128
;

create table if not exists shop.item_embeddings on cluster 'shards' as shop.item_embeddings_local
engine = Distributed('shards', 'shop', 'item_embeddings_local', rand())
;
