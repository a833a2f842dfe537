-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How often each user did what in each category: the taste of a user.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table if not exists shop.user_categories_local on cluster 'shards' (
    user_id String,
    category String,
    event_type LowCardinality(String),
    events Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/user_categories_local', '{replica}', (events))
order by (user_id, category, event_type)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.user_categories on cluster 'shards' as shop.user_categories_local
engine = Distributed('shards', 'shop', 'user_categories_local', cityHash64(user_id))
;
