-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0077_titles
-- The titles of items in other languages than that of `title`, in memory. The writer reloads it when items changed.

CREATE DICTIONARY titles
(
    `item_key` UInt64,
    `language` String,
    `title` String
)
PRIMARY KEY item_key, language
SOURCE(CLICKHOUSE(QUERY '
    select cityHash64(item_id) as item_key, name.1 as language, name.2 as title
    from items final
    array join cast(titles, \'Array(Tuple(String, String))\') as name
'))
LIFETIME(MIN 0 MAX 0)
LAYOUT(COMPLEX_KEY_HASHED())
