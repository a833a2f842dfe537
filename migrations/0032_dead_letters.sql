-- Messages of Kafka that no event or item could be made of, each once: what it held, and why it was refused.
-- A row may stand here twice until parts merge: read it with FINAL.
create table {{ database }}.dead_letters (
    source LowCardinality(String),
    partition UInt32,
    offset UInt64,
    reason String,
    body String,
    seen_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'seen_at') }}
order by (source, partition, offset)
settings {{ window }}
