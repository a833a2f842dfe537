-- Each person once a day for an item and a type of event.
{% from 'macros/voices.sql' import voices with context %}
select toDate(timestamp) as day, event_type, item_key, 1 as voices
from (
{{ voices() }}
)
