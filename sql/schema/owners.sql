-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0039_owners
-- Whose offer an item is, in memory, for those that are a person's: most shops have none, and then it is empty.
-- A dictionary beside `catalogue`, because `events` reads that one, and so it cannot be dropped and made again.
-- The writer reloads it when items changed.

CREATE DICTIONARY owners
(
    `item_key` UInt64,
    `owner` String
)
PRIMARY KEY item_key
SOURCE(CLICKHOUSE(QUERY '
    select cityHash64(item_id) as item_key, owner from items final where owner != \'\'
'))
LIFETIME(MIN 0 MAX 0)
LAYOUT(HASHED())
