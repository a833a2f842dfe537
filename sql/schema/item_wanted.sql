-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0057_item_wanted
-- What those who have an item want next, learned or not, in one row for each item: for_you adds these up over what a user has.
-- A serving table: sql/serving/item_wanted.sql makes its rows from item_neighbours, which is learned, and from item_companions.

CREATE TABLE item_wanted
(
    `item_key` UInt64,
    `is_learned` Bool,
    `wanted` Array(Tuple(
        item_key UInt64,
        weight Float32))
)
ENGINE = EmbeddedRocksDB
PRIMARY KEY item_key
