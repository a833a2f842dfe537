-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Whose events are whose: what a guest does after the merge is the account's. An account that is merged takes its guests along.
create table if not exists shop.user_merges_local on cluster 'shards' (
    guest_id String,
    user_id String,
    merged_at DateTime64(3, 'UTC')
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/user_merges_local', '{replica}', merged_at)
order by guest_id
settings replicated_deduplication_window = 1000
;

create table if not exists shop.user_merges on cluster 'shards' as shop.user_merges_local
engine = Distributed('shards', 'shop', 'user_merges_local', cityHash64(user_id))
;
