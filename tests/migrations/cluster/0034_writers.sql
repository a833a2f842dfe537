-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Who may store events on a server: the newest epoch. Every insert asks, so that a writer that was held up and wakes after
-- another took over stores nothing. A second row, `stored`, follows a claim with its first batch. An embedded warehouse has one writer by nature and no row here.
create table if not exists shop.writers_local on cluster 'shards' (
    epoch UInt64,
    holder String,
    stored Bool,
    noted_at DateTime64(3, 'UTC') default now64(3)
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/writers_local', '{replica}')
order by epoch
settings replicated_deduplication_window = 1000
;

create table if not exists shop.writers on cluster 'shards' as shop.writers_local
engine = Distributed('shards', 'shop', 'writers_local', rand())
;
