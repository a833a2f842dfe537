-- Items this user viewed or clicked, the latest first, each once.
--
-- :user_id  String                the user; a guest's session_id works too. Repeat it to ask for several
-- :limit    UInt16 = 10 (1..100)  number of items for each
-- @use filters
-- @use language
--
-- @key user_id
-- @cache 300s user_id
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import is_eligible, one_of_each_group %}
{% from 'reasons.sql' import viewed_times %}
with
    seen as (
        select
            user_id,
            one.item_key as seen_key,
            max(one.last_time) as seen_at,
            max(one.last_seq) as seen_seq,
            sum(one.events) as looks
        from user_history
        array join items as one
        where user_id in (select arrayJoin({{ user_id }})) and one.event_type in ('view', 'click')
        group by user_id, seen_key
        having
            {{ is_eligible("seen_key", **filters) }}
            {{ one_of_each_group("seen_key", "seen_seq desc, seen_key", by="user_id") }}
        order by seen_seq desc
        limit {{ limit }} by user_id
    )
select
    user_id,
    {{ item_columns("seen_key", language=language) }},
    seen_at as viewed_at,
    {{ viewed_times("looks") }} as reason
from seen
order by user_id, seen_seq desc, item_id
limit 100000
