-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

drop view if exists shop.user_days_mv on cluster 'shards' sync
;
