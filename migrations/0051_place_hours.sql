-- How often each item was seen, carted, bought … in each hour at each place: what trending reads where a place is asked for.
-- A place is what an event has as properties.place; events without one are not in here.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table {{ database }}.place_hours (
    place String,
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64,
    events Int64
)
engine = {{ engine('SummingMergeTree', '(events)') }}
order by (place, hour, event_type, item_key)
settings {{ window }}
