-- Halts of the stream from Kafka: since when, why, what ends it, and when it ended. The newest without an end is the state now.
-- Read it with FINAL.
create table {{ database }}.ingest_halts (
    halted_at DateTime64(3, 'UTC'),
    reason String,
    hint String,
    ended_at Nullable(DateTime64(3, 'UTC')),
    noted_at DateTime64(3, 'UTC')
)
engine = {{ engine('ReplacingMergeTree', 'noted_at') }}
order by halted_at
settings {{ window }}
