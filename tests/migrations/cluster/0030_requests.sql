-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Requests to pipes, one row each: what was asked, what was shown and what it cost. Not made from events; the service
-- writes it in batches, so the requests of the last second are missing after a crash.
-- `time` is the clock the pipe was given. `parameters` is a JSON object, each name with the list of its values, just as
-- they were asked: a replay asks them again. It is empty where it was longer than 64 KiB. A kept answer read no rows.
-- 90 days: a season to replay and to judge a change by, and no longer, since it tells who was shown what. A week is one
-- partition and goes as a whole, without rewriting what stays.
create table if not exists shop.requests_local on cluster 'shards' (
    time DateTime64(3, 'UTC'),
    request_id String,
    pipe LowCardinality(String),
    version LowCardinality(String),
    fallback LowCardinality(String),
    parameters String,
    item_ids Array(String),
    rows UInt32,
    status UInt16,
    error LowCardinality(String),
    seconds Float64,
    rows_read UInt64,
    bytes_read UInt64,
    kept Bool
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/requests_local', '{replica}')
partition by toMonday(time)
order by (pipe, time)
ttl toDateTime(time) + interval 90 day
settings replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
;

create table if not exists shop.requests on cluster 'shards' as shop.requests_local
engine = Distributed('shards', 'shop', 'requests_local', rand())
;
