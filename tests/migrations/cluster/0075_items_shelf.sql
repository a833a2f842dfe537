-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What a shelf shows of an item besides, and what an item is: its address, currency, price before a reduction, stock (null: not known),
-- the group of its variants, tags, and titles by language. first_seen is when the first post about it was stored; published_at, which the
-- shop may send, is since when it has the item. A removed item is kept as an empty row that is not available.
alter table shop.items_local on cluster 'shards'
    add column if not exists titles Map(String, String) after title,
    add column if not exists list_price Decimal(18, 4) after price,
    add column if not exists currency LowCardinality(String) after list_price,
    add column if not exists stock Nullable(Int32) after available,
    add column if not exists url String after stock,
    add column if not exists group_id String after image,
    add column if not exists tags Array(String) after group_id,
    add column if not exists published_at Nullable(DateTime64(3, 'UTC')) after embedding,
    add column if not exists first_seen DateTime64(3, 'UTC') default updated_at after published_at,
    add column if not exists removed Bool after first_seen
;

alter table shop.items on cluster 'shards' add column if not exists titles Map(String, String) after title, add column if not exists list_price Decimal(18, 4) after price, add column if not exists currency LowCardinality(String) after list_price, add column if not exists stock Nullable(Int32) after available, add column if not exists url String after stock, add column if not exists group_id String after image, add column if not exists tags Array(String) after group_id, add column if not exists published_at Nullable(DateTime64(3, 'UTC')) after embedding, add column if not exists first_seen DateTime64(3, 'UTC') default updated_at after published_at, add column if not exists removed Bool after first_seen
;
