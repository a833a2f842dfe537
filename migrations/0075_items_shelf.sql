-- What a shelf shows of an item besides, and what an item is: its address, currency, price before a reduction, stock (null: not known),
-- the group of its variants, tags, and titles by language. first_seen is when the first post about it was stored; published_at, which the
-- shop may send, is since when it has the item. A removed item is kept as an empty row that is not available.
alter table {{ database }}.items
    add column titles Map(String, String) after title,
    add column list_price Decimal(18, 4) after price,
    add column currency LowCardinality(String) after list_price,
    add column stock Nullable(Int32) after available,
    add column url String after stock,
    add column group_id String after image,
    add column tags Array(String) after group_id,
    add column published_at Nullable(DateTime64(3, 'UTC')) after embedding,
    add column first_seen DateTime64(3, 'UTC') default updated_at after published_at,
    add column removed Bool after first_seen
