-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Who was forgotten, by a key that does not tell the name, and when: what still comes of them from before counts for nothing.
create table if not exists shop.forgotten_users_local on cluster 'shards' (
    user_key UInt64,
    forgotten_at DateTime64(3, 'UTC')
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/forgotten_users_local', '{replica}', forgotten_at)
order by user_key
settings replicated_deduplication_window = 1000
;

create table if not exists shop.forgotten_users on cluster 'shards' as shop.forgotten_users_local
engine = Distributed('shards', 'shop', 'forgotten_users_local', rand())
;
