-- The most active users, as examples for other pipes.
--
-- :limit  UInt16 = 10 (1..100)  number of users
-- @use segment
--
-- @cache 500ms
{% from 'reasons.sql' import events %}
{% from 'users.sql' import in_segment %}
with
    active as (
        select user_id as active_user, sum(user_items.events) as happened, max(user_items.last_time) as latest
        from user_items
        where event_type != 'impression' {% if segment %} and {{ in_segment("user_id", segment) }} {% endif %}
        group by active_user
    )
select active_user as user_id, happened as events, latest as last_time, {{ events("happened") }} as reason
from active
order by happened desc, user_id
limit {{ limit }}
