-- The lists that were made between two times, for one item (anchor_key) or one user (user_key); 0 stands for none, or several.
select
    cityHash64(recommendation_id) as list_key,
    toUInt64(
        any(
            if(JSONLength(parameters, 'item_id') = 1, cityHash64(JSONExtractString(parameters, 'item_id', 1)), 0)
        )
    ) as anchor_key,
    toUInt64(
        any(
            if(
                JSONLength(parameters, 'item_id') = 0 and JSONLength(parameters, 'user_id') = 1,
                cityHash64(JSONExtractString(parameters, 'user_id', 1)),
                0
            )
        )
    ) as user_key
from {{ database }}.requests
where
    time >= toDateTime({begin:UInt32}, 'UTC') - toIntervalMinute(1)
    and time < toDateTime64({until:UInt32}, 3, 'UTC') + toIntervalMinute(1)
    and recommendation_id != ''
    and shadow_of = ''
group by list_key
order by list_key
