-- Who may store events on a server: the newest epoch. Every insert asks, so that a writer that was held up and wakes after
-- another took over stores nothing. An embedded warehouse has one writer by nature and no row here.
create table {{ database }}.writers (
    epoch UInt64,
    holder String,
    claimed_at DateTime64(3, 'UTC') default now64(3)
)
engine = {{ engine('MergeTree') }}
order by epoch
settings {{ window }}
