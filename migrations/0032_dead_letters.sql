-- Messages of Kafka that no event or item could be made of, each once: its bytes, and why it was refused. Read it with FINAL.
-- body is the message as text, or in base64 if it is no UTF-8: encoding says which. replayed_at: when it was taken after all.
create table {{ database }}.dead_letters (
    source LowCardinality(String),
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    reason String,
    encoding LowCardinality(String),
    body String,
    noted_at DateTime64(3, 'UTC'),
    replayed_at Nullable(DateTime64(3, 'UTC'))
)
engine = {{ engine('ReplacingMergeTree', 'noted_at') }}
order by (source, partition, offset)
settings {{ window }}
