-- Items this user viewed or clicked, the latest first, each once.
--
-- :user_id  String                the user; a guest's session_id works too
-- :limit    UInt16 = 10 (1..100)  number of items
-- @use filters
--
-- @cache 60s user_id
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import is_eligible %}
{% from 'reasons.sql' import viewed_times %}
with
    seen as (
        select
            item_id as seen_item_id,
            max(last_time) as seen_at,
            max(last_seq) as seen_seq,
            sum(user_items.events) as looks
        from user_items
        where user_id = {{ user_id }} and event_type in ('view', 'click')
        group by seen_item_id
    )
select
    seen_item_id as item_id,
    {{ item("title", "cityHash64(seen_item_id)") }} as title,
    {{ item("category", "cityHash64(seen_item_id)") }} as category,
    seen_at as viewed_at,
    {{ viewed_times("looks") }} as reason
from seen
where {{ is_eligible("cityHash64(seen_item_id)", exclude, category, brand, min_price, max_price) }}
order by seen_seq desc, item_id
limit {{ limit }}
