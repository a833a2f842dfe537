-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Whose offer an item is, a user_id: nobody is offered their own. Empty for the shop's.
alter table shop.items_local on cluster 'shards' add column if not exists owner String after image
;

alter table shop.items on cluster 'shards' add column if not exists owner String after image
;
