-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What changed stored rows, other than batches of events: users forgotten or merged, tables rebuilt. Read it with FINAL.
-- No batch up to `batch` is ever stored again: the tables have changed since. `marks` has the newest block of each table before, so
-- that whoever finishes what a crash interrupted knows what was done. `about` is emptied once it is done.
create table if not exists shop.rewrites_local on cluster 'shards' (
    id UInt64,
    kind LowCardinality(String),
    about String,
    batch UInt64,
    marks Map(String, Int64),
    done Bool,
    noted_at DateTime64(3, 'UTC') default now64(3),
    version UInt64
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/rewrites_local', '{replica}', version)
order by id
settings replicated_deduplication_window = 1000
;

create table if not exists shop.rewrites on cluster 'shards' as shop.rewrites_local
engine = Distributed('shards', 'shop', 'rewrites_local', rand())
;
