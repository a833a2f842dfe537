-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The seq of the first time, which decides what counts as a voice (see voices). Rows from before have 0 until `alsobought rebuild user_days`.
alter table shop.user_days_local on cluster 'shards' add column if not exists first_seq SimpleAggregateFunction(min, UInt64)
;

alter table shop.user_days on cluster 'shards' add column if not exists first_seq SimpleAggregateFunction(min, UInt64)
;
