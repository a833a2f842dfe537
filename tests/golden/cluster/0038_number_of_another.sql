-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/test_migrations_cluster.py`.

-- Holds a number that another change has; goes when they come together.
alter table shop.events_local on cluster 'shards' modify setting replicated_deduplication_window = 1000
;
