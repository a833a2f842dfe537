-- The strength of interest of each user in the items that have the most users: 1 for one purchase, and growing as a logarithm.
-- A user counts with at most the 2,000 strongest items.
{% from 'signals.sql' import signal %}
with
    signalled as (
        select
            cityHash64(user_id) as user_key,
            cityHash64(item_id) as item_key,
            sum(events * {{ signal("event_type") }}) / {{ signal("'purchase'") }} as strength,
            toUInt64(sum(events)) as happened
        from {{ database }}.user_items
        where event_type not in ('impression', 'refunded_purchase')
        group by user_key, item_key
        having strength > 0
    )
select user_key, item_key, toFloat32(log2(1 + strength)) as value, happened
from signalled
where
    item_key in (
        select item_key
        from signalled
        group by item_key
        having count() >= {least:UInt32}
        order by count() desc, item_key
        limit {most:UInt32}
    )
order by user_key, strength desc, item_key
limit 2000 by user_key
