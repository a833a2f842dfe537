-- The vectors that came with items, of length 1, one row per item as last sent; empty where it came without. The newest version
-- wins: read with FINAL. Few rows to a granule, so that one vector is found without many others.
create table {{ database }}.brought_embeddings (
    item_key UInt64,
    embedding Array(Float32),
    version UInt64
)
engine = {{ engine('ReplacingMergeTree', 'version') }}
order by item_key
settings index_granularity = 128
