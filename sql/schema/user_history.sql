-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0056_user_history
-- What each user did with each item, in one row: a request reads it with one look-up.
-- A serving table: sql/serving/user_history.sql makes its rows from user_items and user_days.

CREATE TABLE user_history
(
    `user_id` String,
    `items` Array(Tuple(
        item_key UInt64,
        event_type String,
        events UInt32,
        habit Float32,
        first_time DateTime64(3, 'UTC'),
        last_time DateTime64(3, 'UTC'),
        last_seq UInt64))
)
ENGINE = EmbeddedRocksDB
PRIMARY KEY user_id
