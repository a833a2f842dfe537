-- What may be offered to a person, from several sources and before it is ranked: what they bought
-- (again), what goes with their latest items (goes_with), what people with such items want (alike), what
-- sells in their categories (categories), what sells more than usual (rising), what sells most (popular).
-- An item that several sources name is named once, with the source that has it highest.
--
-- :user_id    String                 the person; a guest's session_id works too
-- :limit      UInt16 = 100 (1..1000)  how many
-- :leave_out  String = nothing (nothing, bought, seen)  of what the person has: bought or disliked; seen:
-- also viewed, clicked, carted
-- :exclude    Array(String)?         leave out these items; repeat it
-- :category   String?                only products of this category, or below it
-- :brand      Array(String)?         only products of these brands
-- :min_price  Float64? (0..1e12)     only products that cost at least this
-- :max_price  Float64? (0..1e12)     only products that cost at most this
--
-- @cache 60s user_id
{% from 'candidates.sql' import person_features %}
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import may_show, new_to %}
with
    found as (
        select
            item_key as found_key,
            source as best_source,
            source_score as best_score,
            sources as found_by,
            places as order_of
        from ({{ person_features(user_id, now) }})
        where
            {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            and {{ new_to("item_key", user_id, leave_out) }}
    )
select
    {{ item("item_id", "found_key") }} as item_id,
    {{ item("title", "found_key") }} as title,
    {{ item("category", "found_key") }} as category,
    best_source as source,
    round(best_score, 6) as source_score,
    found_by as sources,
    round(exp(order_of), 6) as score
from found
order by order_of desc, found_key
limit {{ limit }}
