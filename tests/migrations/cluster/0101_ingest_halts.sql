-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Halts of the stream from Kafka: since when, why, what ends it, and when it ended. The newest without an end is the state now.
-- Read it with FINAL.
create table if not exists shop.ingest_halts_local on cluster 'shards' (
    halted_at DateTime64(3, 'UTC'),
    reason String,
    hint String,
    ended_at Nullable(DateTime64(3, 'UTC')),
    noted_at DateTime64(3, 'UTC')
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/ingest_halts_local', '{replica}', noted_at)
order by halted_at
settings replicated_deduplication_window = 1000
;

create table if not exists shop.ingest_halts on cluster 'shards' as shop.ingest_halts_local
engine = Distributed('shards', 'shop', 'ingest_halts_local', rand())
;
