-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Messages of analytics tools that hold no event for us, such as page calls. messages = stored + repeats + refused + skipped.
alter table shop.ingest_ranges_local on cluster 'shards' add column if not exists skipped UInt64 after refused
;

alter table shop.ingest_ranges on cluster 'shards' add column if not exists skipped UInt64 after refused
;
