-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The account that the merge named, which may itself be merged by now (user_id), and when that was; 1970 for merges from before events had
-- a guest_id, which cannot be undone.
alter table shop.user_merges_local on cluster 'shards' add column if not exists merged_into String default user_id, add column if not exists since DateTime64(3, 'UTC')
;

alter table shop.user_merges on cluster 'shards' add column if not exists merged_into String default user_id, add column if not exists since DateTime64(3, 'UTC')
;
