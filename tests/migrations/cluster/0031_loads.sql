-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The files that were loaded, one row each once merged: how their rows were read, since which batch, and whether the end was reached. A file that was read to its end is not read again.
-- A newer version replaces the row: another reading of the same file (other columns, more event types) begins at its first row.
create table if not exists shop.loads_local on cluster 'shards' (
    source String,
    reading String,
    since UInt64,
    refused UInt64,
    finished Bool,
    version UInt64
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/loads_local', '{replica}', version)
order by source
;

create table if not exists shop.loads on cluster 'shards' as shop.loads_local
engine = Distributed('shards', 'shop', 'loads_local', rand())
;
