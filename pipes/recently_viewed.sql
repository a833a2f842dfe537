-- What this person last looked at, the latest first: views and clicks, each item once.
--
-- :user_id  String                the person; a guest's session_id works too
-- :limit    UInt16 = 10 (1..100)  how many items
--
-- @cache 60s user_id
{% from 'catalogue.sql' import item %}
with
    seen as (
        select item_id as seen_item_id, max(last_time) as seen_at, max(last_seq) as seen_seq
        from user_items
        where user_id = {{ user_id }} and event_type in ('view', 'click')
        group by seen_item_id
    )
select
    seen_item_id as item_id,
    {{ item("title", "cityHash64(seen_item_id)") }} as title,
    {{ item("category", "cityHash64(seen_item_id)") }} as category,
    seen_at as viewed_at
from seen
order by seen_seq desc, item_id
limit {{ limit }}
