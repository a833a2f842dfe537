-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What each user did with each item, in one row: a request reads it with one look-up.
-- A serving table: sql/serving/user_history.sql makes its rows from user_items and user_days.
create table if not exists shop.user_history_local on cluster 'shards' (
    user_id String,
    items Array(Tuple(
        item_key UInt64,
        event_type String,
        events UInt32,
        habit Float32,
        first_time DateTime64(3, 'UTC'),
        last_time DateTime64(3, 'UTC'),
        last_seq UInt64
    ))
)
engine = EmbeddedRocksDB
primary key user_id
;

create table if not exists shop.user_history on cluster 'shards' as shop.user_history_local
engine = Distributed('shards', 'shop', 'user_history_local', cityHash64(user_id))
;
