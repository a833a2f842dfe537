-- Users who bought both before a time and after it, in the order of the hash of their user_id.
select user_id
from {{ database }}.events
where event_type = 'purchase' and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
group by user_id
having min(timestamp) < toDateTime({begin:UInt32}, 'UTC') and max(timestamp) >= toDateTime({begin:UInt32}, 'UTC')
order by cityHash64(user_id), user_id
limit {people:UInt32}
