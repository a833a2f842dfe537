-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Under which id an event came, where a merge made it another user's: to undo the merge, its events must be told from the account's own.
alter table shop.events_local on cluster 'shards' add column if not exists guest_id String after session_id
;

alter table shop.events on cluster 'shards' add column if not exists guest_id String after session_id
;
