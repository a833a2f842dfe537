-- The candidates of a user with their features as of a time, by the macros that serve (sql/macros/candidates.sql), and whether
-- the user bought them from then on.
{% from 'candidates.sql' import user_candidates %}
{% from 'ranker.sql' import pairs_before %}
{%- macro as_of() -%} toDateTime({begin:UInt32}, 'UTC') {%- endmacro -%}
select
    item_key,
    places,
    repeats,
    interest,
    since,
    goes_with,
    popular,
    rising,
    category,
    price,
    toFloat64(
        item_key in (
            select cityHash64(item_id)
            from {{ database }}.events
            where
                user_id = {user:String}
                and event_type = 'purchase'
                and timestamp >= toDateTime({begin:UInt32}, 'UTC')
                and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
        )
    ) as bought
from ({{ user_candidates("{user:String}", as_of(), of, pairs_before("(select own_key from latest)", as_of(), of)) }})
order by item_key
