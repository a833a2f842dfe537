-- Each person once a day for an item and a type of event, in the hour of the first event; at its place, and under place '' for all.
{% from 'macros/voices.sql' import voices with context %}
select
    arrayJoin(if(
        JSONType(properties, 'place') in ('String', 'Int64', 'UInt64')
        and length(JSONExtractString(properties, 'place')) between 1 and 256,
        ['', JSONExtractString(properties, 'place')],
        ['']
    )) as place,
    toStartOfHour(toDateTime(timestamp, 'UTC')) as hour,
    event_type,
    item_key,
    1 as voices
from (
{{ voices() }}
)
