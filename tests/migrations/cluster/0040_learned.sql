-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What was learnt, when, of how many events, and how good it came out: a row for each run of `alsobought learn`.
-- until is the seq of the newest event that a run knew. rows, options and quality are JSON objects; line says quality in words.
create table if not exists shop.learned_local on cluster 'shards' (
    name LowCardinality(String),
    learned_at DateTime64(3, 'UTC'),
    events UInt64,
    until UInt64,
    seconds Float64,
    rows String,
    options String,
    quality String,
    line String
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/learned_local', '{replica}')
order by (name, learned_at)
;

create table if not exists shop.learned on cluster 'shards' as shop.learned_local
engine = Distributed('shards', 'shop', 'learned_local', rand())
;
