-- A feed: it stores nothing, and the views on it see the rows of one block of events. A row is an item of the block in a group,
-- with the seq, day and weight of its first line there: the item's purchases in an order (kind 'order'), its purchases by a
-- person ('buyer'), or its views in a session ('session'). weight is round(10^6 / sqrt(lines of the order)), lines unknown or
-- below two counting as two.
create table {{ database }}.group_lines (
    kind Enum8('order' = 1, 'buyer' = 2, 'session' = 3),
    group_key UInt64,
    item_key UInt64,
    first_seq UInt64,
    day Date,
    weight Int64
)
engine = Null
