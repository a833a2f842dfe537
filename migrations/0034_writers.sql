-- Who may store events on a server: the newest epoch. Every insert asks, so that a writer that was held up and wakes after
-- another took over stores nothing. A second row, `stored`, follows a claim with its first batch. An embedded warehouse has one writer by nature and no row here.
create table {{ database }}.writers (
    epoch UInt64,
    holder String,
    stored Bool,
    noted_at DateTime64(3, 'UTC') default now64(3)
)
engine = {{ engine('MergeTree') }}
order by epoch
settings {{ window }}
