-- What each user did with which item on each day: habits, and what comes round again.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table {{ database }}.user_days (
    user_id String,
    day Date,
    event_type LowCardinality(String),
    item_key UInt64,
    events Int64
)
engine = {{ engine('SummingMergeTree', '(events)') }}
order by (user_id, day, event_type, item_key)
settings {{ window }}
