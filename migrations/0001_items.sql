-- The catalogue: one row per item as last sent; the newest version wins.
-- Read it with FINAL, or through the dictionary `catalogue`, which is cheaper.
create table {{ database }}.items (
    item_id String,
    title String,
    category String,
    brand String,
    price Decimal(18, 4),
    available Bool,
    image String,
    attributes Map(String, String),
    version UInt64,
    updated_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'version') }}
order by item_id
