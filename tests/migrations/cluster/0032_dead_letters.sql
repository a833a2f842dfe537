-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Messages of Kafka that no event or item could be made of, each once: its bytes, and why it was refused. Read it with FINAL.
-- body is the message as text, or in base64 if it is no UTF-8: encoding says which. replayed_at: when it was taken after all.
create table if not exists shop.dead_letters_local on cluster 'shards' (
    source LowCardinality(String),
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    reason String,
    encoding LowCardinality(String),
    body String,
    noted_at DateTime64(3, 'UTC'),
    replayed_at Nullable(DateTime64(3, 'UTC'))
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/dead_letters_local', '{replica}', noted_at)
order by (source, partition, offset)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.dead_letters on cluster 'shards' as shop.dead_letters_local
engine = Distributed('shards', 'shop', 'dead_letters_local', rand())
;
