-- The items that lists showed by exploration rather than by rank: with a propensity below one half (sql/macros/ranking.sql).
select distinct cityHash64(recommendation_id) as list_key, cityHash64(shown_id) as item_key
from {{ database }}.requests
array join item_ids as shown_id, propensities as propensity
where
    time >= toDateTime({begin:UInt32}, 'UTC') - toIntervalMinute(1)
    and time < toDateTime64({until:UInt32}, 3, 'UTC') + toIntervalMinute(1)
    and recommendation_id != ''
    and shadow_of = ''
    and length(item_ids) = length(propensities)
    and propensity < 0.5
order by list_key, item_key
