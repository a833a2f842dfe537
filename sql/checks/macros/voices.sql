{#- The first event of each type that a user has with an item on a day: rows of timestamp, event_type, item_key, properties. -#}
{%- macro voices() -%}
select timestamp, event_type, cityHash64(item_id) as item_key, properties
from {{ database }}.events
where
    event_type not in ('impression', 'refund', 'refunded_purchase')
    and {{ picks("cityHash64(item_id)") }}
    {% if since %}
    and (user_id, toDate(timestamp), event_type, cityHash64(item_id)) not in (
        select user_id, day, event_type, item_key from {{ database }}.user_days where first_seq < {{ since }}
    )
    {% endif %}
order by seq
limit 1 by user_id, toDate(timestamp), event_type, item_id
{%- endmacro -%}
