-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0055_item_companions
-- The strongest companions of each item in one row, so that a list costs one look-up instead of the 70,000 pairs of a popular item.
-- A serving table: sql/serving/item_companions.sql makes its rows from co_baskets. Measured against MergeTree, a look-up in RocksDB
-- takes a third of the time, and small inserts do not slow it down.

CREATE TABLE item_companions
(
    `item_key` UInt64,
    `companions` Array(Tuple(
        item_key UInt64,
        baskets UInt32,
        strength Float32))
)
ENGINE = EmbeddedRocksDB
PRIMARY KEY item_key
