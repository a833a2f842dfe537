-- What changed stored rows, other than batches of events: users forgotten or merged, tables rebuilt. Read it with FINAL.
-- No batch up to `batch` is ever stored again: the tables have changed since. `marks` has the newest block of each table before, so
-- that whoever finishes what a crash interrupted knows what was done. `about` is emptied once it is done.
create table {{ database }}.rewrites (
    id UInt64,
    kind LowCardinality(String),
    about String,
    batch UInt64,
    marks Map(String, Int64),
    done Bool,
    noted_at DateTime64(3, 'UTC') default now64(3),
    version UInt64
)
engine = {{ engine('ReplacingMergeTree', 'version') }}
order by id
settings {{ window }}
