-- What was read of Kafka, in ranges of offsets that follow each other: where reading goes on, and proof that nothing was left out.
-- messages = stored + repeats + refused: those with an event in `events` (an item in `items`), those whose events were all
-- known by their event_id, and those in `dead_letters`. A range grows for a minute under its first offset: read it with FINAL.
-- After a crash it may overlap the one before. A partition where nothing came for a month is read from the start of its log:
-- what is stored of it is known.
create table {{ database }}.ingest_ranges (
    source LowCardinality(String),
    partition UInt32,
    first_offset UInt64,
    next_offset UInt64,
    messages UInt64,
    stored UInt64,
    repeats UInt64,
    refused UInt64,
    noted_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'next_offset') }}
order by (source, partition, first_offset)
ttl toDateTime(noted_at) + interval 30 day
settings {{ window }}
