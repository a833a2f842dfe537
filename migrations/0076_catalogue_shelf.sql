-- What a pipe may print of an item or ask about it, in memory, for every item ever seen. The writer reloads it when items changed or a
-- new id appeared. An item is available unless the shop took it off sale or its stock is used up. catalogued: the shop has sent it, and
-- not removed it. group_key is the key of its group of variants, or else its own. listed_since is the day of its publication
-- (is_published) or else of the first post about it; with_first_load: that says nothing, because it came within a day of the first item.
create or replace dictionary {{ database }}.catalogue (
    item_key UInt64,
    item_id String,
    title String,
    category String,
    brand String,
    price Decimal(18, 4),
    list_price Decimal(18, 4),
    currency String,
    available Bool default 1,
    image String,
    url String,
    tags Array(String),
    group_key UInt64,
    catalogued Bool,
    listed_since Date default '2149-06-06',
    is_published Bool,
    with_first_load Bool
)
primary key item_key
source(clickhouse(query '
    select
        cityHash64(item_id) as item_key,
        item_id,
        title,
        category,
        brand,
        price,
        list_price,
        currency,
        available and ifNull(stock, 1) > 0,
        image,
        url,
        tags,
        cityHash64(if(group_id = \'\', item_id, concat(\'group:\', group_id))),
        not removed,
        toDate(ifNull(published_at, first_seen)),
        isNotNull(published_at),
        isNull(published_at) and first_seen < (select min(first_seen) from {{ database }}.items) + interval 1 day
    from {{ database }}.items final
    union all
    select item_key, any(item_id), \'\', \'\', \'\', 0, 0, \'\', true, \'\', \'\', [], item_key, false, toDate(\'2149-06-06\'), false, false
    from {{ database }}.item_ids
    where item_key not in (select cityHash64(item_id) from {{ database }}.items)
    group by item_key
'))
layout(hashed())
lifetime(0)
