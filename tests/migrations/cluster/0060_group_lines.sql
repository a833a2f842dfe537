-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- A feed: it stores nothing, and the views on it see the rows of one block of events. A row is an item of the block in a group,
-- with the seq, day and weight of its first line there: the item's purchases in an order (kind 'order'), its purchases by a
-- person ('buyer'), or its views in a session ('session'). weight is round(10^6 / sqrt(lines of the order)), lines unknown or
-- below two counting as two.
create table if not exists shop.group_lines_local on cluster 'shards' (
    kind Enum8('order' = 1, 'buyer' = 2, 'session' = 3),
    group_key UInt64,
    item_key UInt64,
    first_seq UInt64,
    day Date,
    weight Int64
)
engine = Null
;

create table if not exists shop.group_lines on cluster 'shards' as shop.group_lines_local
engine = Distributed('shards', 'shop', 'group_lines_local', rand())
;
