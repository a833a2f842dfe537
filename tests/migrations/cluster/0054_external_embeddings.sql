-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The vectors that came with items, of length 1: one row per item, the newest version. FINAL is in the view, so a reader needs none.
create view if not exists shop.external_embeddings on cluster 'shards' as
select item_key, embedding, version
from shop.brought_embeddings final
;
