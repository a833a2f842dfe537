-- Whose offer an item is, in memory, for those that are a person's: most shops have none, and then it is empty.
-- A dictionary beside `catalogue`, because `events` reads that one, and so it cannot be dropped and made again.
-- The writer reloads it when items changed.
create dictionary {{ database }}.owners (
    item_key UInt64,
    owner String
)
primary key item_key
source(clickhouse(query '
    select cityHash64(item_id) as item_key, owner from {{ database }}.items final where owner != \'\'
'))
layout(hashed())
lifetime(0)
