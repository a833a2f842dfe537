-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The audit log: which person or key changed what. An entry is written before its action and again after it; its rows have the same
-- entry_id and time and add up: the later one brings the outcome, which is empty if the action was never seen to end. No user_id:
-- a user is the word user and the key of the table forgotten_users. ALSOBOUGHT_AUDIT_RETENTION_DAYS changes the TTL. Read it with GROUP BY entry_id.
create table if not exists shop.audit_log_local on cluster 'shards' (
    time DateTime64(3, 'UTC'),
    entry_id String,
    via SimpleAggregateFunction(max, String),
    actor SimpleAggregateFunction(max, String),
    actor_name SimpleAggregateFunction(max, String),
    address SimpleAggregateFunction(max, String),
    action SimpleAggregateFunction(max, String),
    object SimpleAggregateFunction(max, String),
    detail SimpleAggregateFunction(max, String),
    result SimpleAggregateFunction(max, String),
    outcome SimpleAggregateFunction(max, String),
    times SimpleAggregateFunction(max, UInt64),
    finished_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/audit_log_local', '{replica}')
order by (time, entry_id)
ttl toDateTime(time) + interval 365 day
;

create table if not exists shop.audit_log on cluster 'shards' as shop.audit_log_local
engine = Distributed('shards', 'shop', 'audit_log_local', rand())
;
