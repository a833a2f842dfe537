-- The candidates of a person with their features as of a time, by the text that answers (sql/macros/candidates.sql), and whether
-- the person bought them from then on.
{% from 'candidates.sql' import person_features %}
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
                and timestamp < toDateTime({until:UInt32}, 'UTC')
        )
    ) as bought
from ({{ person_features("{user:String}", "toDateTime({begin:UInt32}, 'UTC')", of) }})
order by item_key
