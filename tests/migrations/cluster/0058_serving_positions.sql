-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How far each serving table has come: all events up to `seq` are in its rows, which the definition with this hash made. After a
-- crash the rows that later events touch are made again; with another definition, or without a position, all of them.
create table if not exists shop.serving_positions_local on cluster 'shards' (
    name String,
    definition String,
    seq UInt64,
    recorded_at DateTime64(3, 'UTC') default now64(3)
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/serving_positions_local', '{replica}', recorded_at)
order by name
;

create table if not exists shop.serving_positions on cluster 'shards' as shop.serving_positions_local
engine = Distributed('shards', 'shop', 'serving_positions_local', rand())
;
