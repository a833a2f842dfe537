-- The people with the most going on lately, to try the other pipes with.
--
-- :limit  UInt16 = 10 (1..100)  how many
--
-- @cache 500ms
{% from 'lists.sql' import counted %}
with
    people as (
        select user_id as person, sum(user_items.events) as happened, max(user_items.last_time) as latest
        from user_items
        where event_type != 'impression'
        group by person
    )
select
    person as user_id,
    happened as events,
    latest as last_time,
    {{ counted("happened", "event", "events") }} as reason
from people
order by happened desc, user_id
limit {{ limit }}
