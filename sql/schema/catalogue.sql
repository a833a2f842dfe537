-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0003_catalogue
-- Everything a pipe may want to print about an item, in memory, for every item ever seen: dictGet costs next to nothing.
-- The writer reloads it when items changed or a new id appeared.

CREATE DICTIONARY catalogue
(
    `item_key` UInt64,
    `item_id` String,
    `title` String,
    `category` String,
    `brand` String,
    `price` Decimal(18, 4),
    `available` Bool DEFAULT 1,
    `image` String
)
PRIMARY KEY item_key
SOURCE(CLICKHOUSE(QUERY '
    select cityHash64(item_id) as item_key, item_id, title, category, brand, price, available, image
    from items final
    union all
    select item_key, any(item_id), \'\', \'\', \'\', 0, true, \'\'
    from item_ids
    where item_key not in (select cityHash64(item_id) from items)
    group by item_key
'))
LIFETIME(MIN 0 MAX 0)
LAYOUT(HASHED())
