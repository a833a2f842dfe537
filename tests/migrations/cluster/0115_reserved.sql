-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Rows that are older than their time are deleted at once, not only when parts merge.
alter table shop.dead_letters_local on cluster 'shards' materialize ttl
;
