-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Rejected posts (source http) are kept for 30 days: whoever sent them knows of it from the response.
alter table shop.dead_letters_local on cluster 'shards' modify ttl toDateTime(noted_at) + interval 30 day delete where source = 'http'
;
