-- How often each item was seen, carted, bought … in each hour: what trending reads.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table {{ database }}.item_hours (
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64,
    category String,
    events Int64
)
engine = {{ engine('SummingMergeTree', '(events)') }}
order by (hour, event_type, item_key, category)
settings {{ window }}
