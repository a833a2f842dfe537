-- The ledger: one row per batch of one source, with the range of offsets it brought. What a load resumes from.
create table {{ database }}.ingest_batches (
    batch UInt64,
    epoch UInt64,
    source LowCardinality(String),
    partition UInt32,
    first_offset UInt64,
    last_offset UInt64,
    events UInt64,
    ingested_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree') }}
order by (source, partition, batch)
settings {{ window }}
