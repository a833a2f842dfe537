-- The same by hour and place: what trending reads. Who counts once a day counts in the hour of their first event, at its place. A
-- place is what an event has as properties.place; the rows of place '' are about all events, wherever they happened.
-- Signed sums that merge in the background: read with sum(voices) ... group by.
create table {{ database }}.hourly_voices (
    place String,
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64,
    voices Int64
)
engine = {{ engine('SummingMergeTree', '(voices)') }}
order by (place, hour, event_type, item_key)
settings {{ window }}
