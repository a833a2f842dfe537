-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The titles of items in other languages than that of `title`, in memory. The writer reloads it when items changed.
create dictionary if not exists shop.titles on cluster 'shards' (
    item_key UInt64,
    language String,
    title String
)
primary key item_key, language
source(clickhouse(query '
    select cityHash64(item_id) as item_key, name.1 as language, name.2 as title
    from shop.items final
    array join cast(titles, \'Array(Tuple(String, String))\') as name
'))
layout(complex_key_hashed())
lifetime(0)
settings(distributed_product_mode = 'global')
;
