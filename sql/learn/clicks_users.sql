-- The ids of users by their keys.
select cityHash64(user_id) as user_key, any(user_id) as one_id
from {{ database }}.touches
where day >= toDate(toDateTime({begin:UInt32}, 'UTC')) and cityHash64(user_id) in ({keys:Array(UInt64)})
group by user_key
order by user_key
