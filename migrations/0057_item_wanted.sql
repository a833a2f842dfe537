-- What those who have an item want next, learned or not, in one row for each item: for_you adds these up over what a user has.
-- A serving table: sql/serving/item_wanted.sql makes its rows from item_neighbours, which is learned, and from item_companions.
create table {{ database }}.item_wanted (
    item_key UInt64,
    is_learned Bool,
    wanted Array(Tuple(item_key UInt64, weight Float32))
)
engine = EmbeddedRocksDB
primary key item_key
