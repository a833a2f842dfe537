-- The share that each item has of all that happened in the four weeks before now, weighed as signals are.
{% from 'signals.sql' import signal %}
select item_key, toFloat32(strength / sum(strength) over ()) as share
from
    (
        select item_key, sum(events * {{ signal("event_type") }}) as strength
        from {{ database }}.daily_popularity
        where item_key != 0 and day >= toDate({now:DateTime('UTC')}) - 28 and day < toDate({now:DateTime('UTC')}) + 1
        group by item_key
        having strength > 0
    )
order by item_key
