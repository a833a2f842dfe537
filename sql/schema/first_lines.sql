-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0061_first_lines
-- A feed, of what is new in a block of events: a row is an order, a buyer or a session (kind) with items that it did not have
-- before. fresh are these items in order of first appearance, each as (item_key, day, weight) of its first line; earlier are the
-- items it had before the block, the last 100 of an order and the last 20 of a buyer or a session; is_new means that it had none.
-- Pair counts, item_totals and the orders of daily_popularity are views of this feed.

CREATE TABLE first_lines
(
    `kind` Enum8('order' = 1, 'buyer' = 2, 'session' = 3),
    `is_new` Bool,
    `earlier` Array(UInt64),
    `fresh` Array(Tuple(
        UInt64,
        Date,
        Int64))
)
ENGINE = `Null`
