-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- In how many sessions both items were viewed, both ways round, by the month of the later first view of the two.
-- A session's items are ranked by first view; a pair counts once per session if the ranks are at most 20 apart.
-- Signed sums that merge in the background: read with sum(sessions) ... group by, and having above 0.
create table if not exists shop.co_views_local on cluster 'shards' (
    item_key UInt64,
    other_item_key UInt64,
    month Date,
    sessions Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/co_views_local', '{replica}', (sessions))
order by (item_key, other_item_key, month)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.co_views on cluster 'shards' as shop.co_views_local
engine = Distributed('shards', 'shop', 'co_views_local', rand())
;
