-- What was learnt, when, of how many events, and how good it came out: a row for each run of `alsobought learn`.
-- until is the seq of the newest event that a run knew. rows, options and quality are JSON objects; line says quality in words.
create table {{ database }}.learned (
    name LowCardinality(String),
    learned_at DateTime64(3, 'UTC'),
    events UInt64,
    until UInt64,
    seconds Float64,
    rows String,
    options String,
    quality String,
    line String
)
engine = {{ engine('MergeTree') }}
order by (name, learned_at)
