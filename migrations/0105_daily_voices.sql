-- How many people saw, carted, bought … each item on each day: what popular and new_items rank by. A person counts once a day for an
-- item and a type of event, however often they come. A day of the same person later counts again.
-- Signed sums that merge in the background: read with sum(voices) ... group by.
create table {{ database }}.daily_voices (
    day Date,
    event_type LowCardinality(String),
    item_key UInt64,
    voices Int64
)
engine = {{ engine('SummingMergeTree', '(voices)') }}
order by (day, event_type, item_key)
settings {{ window }}
