-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- A vector of the shop's own for an item, of its picture or its text; empty for none. It is served from brought_embeddings.
alter table shop.items_local on cluster 'shards' add column if not exists embedding Array(Float32)
;

alter table shop.items on cluster 'shards' add column if not exists embedding Array(Float32)
;
