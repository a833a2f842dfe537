-- Every item of the shop, those with the most buyers first. Every fallback chain ends with this pipe,
-- because it has rows as long as the shop has an item to show.
--
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use user
-- @use filters
-- @use language
--
-- @cache 60s
{% from 'catalogue.sql' import item_columns, sum_of_group %}
{% from 'lists.sql' import is_eligible, is_unseen, one_of_each_group %}
{% from 'reasons.sql' import bought_by %}
{% from 'totals.sql' import is_item %}
with
    listed as (
        select item_key, item_totals.buyers as counted_buyers
        from item_totals
        where {{ is_item("item_key") }}
        union all
        select cityHash64(items.item_id) as item_key, 0 as counted_buyers
        from items
        union all
        select item_key, 0 as counted_buyers
        from item_ids
    ),
    counted as (
        select
            item_key,
            sum(counted_buyers) as own_buyers,
            {{ sum_of_group("own_buyers", "item_key") }} as total_buyers
        from listed
        group by item_key
    ),
    best as (
        select item_key, total_buyers
        from counted
        where
            {{ is_eligible("item_key", **filters) }}
            {% if user_id %} and {{ is_unseen("item_key", user_id, exclude_history) }} {% endif %}
            {{ one_of_each_group("item_key", "own_buyers desc, item_key") }}
        order by total_buyers desc, item_key
        limit {{ limit }}
    )
select
    {{ item_columns("item_key", language=language) }},
    total_buyers as buyers,
    toFloat64(total_buyers) as score,
    {{ bought_by("total_buyers") }} as reason
from best
order by total_buyers desc, item_key
limit {{ limit }}
