-- How far each serving table has come: all events up to `seq` are in its rows, which the definition with this hash made. After a
-- crash the rows that later events touch are made again; with another definition, or without a position, all of them.
create table {{ database }}.serving_positions (
    name String,
    definition String,
    seq UInt64,
    recorded_at DateTime64(3, 'UTC') default now64(3)
)
engine = {{ engine('ReplacingMergeTree', 'recorded_at') }}
order by name
