-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0112_variants
-- The items of each group of variants, in memory, in the order of their ids: what can be bought in place of an item that is sold out.
-- The writer reloads it when items changed.

CREATE DICTIONARY variants
(
    `group_key` UInt64,
    `item_keys` Array(UInt64)
)
PRIMARY KEY group_key
SOURCE(CLICKHOUSE(QUERY '
    select
        cityHash64(concat(\'group:\', group_id)) as group_key,
        arrayMap(one -> one.2, arraySort(groupArray((item_id, cityHash64(item_id))))) as item_keys
    from items final
    where group_id != \'\'
    group by group_id
'))
LIFETIME(MIN 0 MAX 0)
LAYOUT(HASHED())
