-- What each user did with which item on each day, and the seq of the last time: habits, and what somebody is at just now.
-- Sums and extremes that merge in the background: read with sum/max ... group by.
create table {{ database }}.user_days (
    user_id String,
    day Date,
    event_type LowCardinality(String),
    item_key UInt64,
    events SimpleAggregateFunction(sum, Int64),
    last_seq SimpleAggregateFunction(max, UInt64)
)
engine = {{ engine('AggregatingMergeTree') }}
order by (user_id, day, event_type, item_key)
settings {{ window }}, index_granularity = 1024
