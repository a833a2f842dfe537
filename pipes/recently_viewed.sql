-- What this person last looked at, the latest first: views and clicks, each item once.
--
-- :user_id    String                the person; a guest's session_id works too
-- :limit      UInt16 = 10 (1..100)  how many items
-- :exclude    Array(String)?        leave out these items; repeat it
-- :category   String?               only products of this category, or below it
-- :brand      Array(String)?        only products of these brands
-- :min_price  Float64? (0..1e12)    only products that cost at least this
-- :max_price  Float64? (0..1e12)    only products that cost at most this
--
-- @cache 60s user_id
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import counted, may_show %}
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
    {{ counted("looks", "time", "times", before="viewed ") }} as reason
from seen
where {{ may_show("cityHash64(seen_item_id)", exclude, category, min_price, max_price, brand) }}
order by seen_seq desc, item_id
limit {{ limit }}
