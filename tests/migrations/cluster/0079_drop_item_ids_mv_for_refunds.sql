-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

drop view if exists shop.item_ids_mv on cluster 'shards' sync
;
