-- Everything that can be bought, what was bought by most people first. The last resort of every list: as
-- long as the shop has an item that may be shown, it has something to say.
--
-- :limit      UInt16 = 10 (1..100)     how many
-- :user_id    String?                  for this person: without what they have
-- :leave_out  String = bought (nothing, bought, seen)  of what the person knows: bought or disliked; or
-- also viewed, clicked, carted
-- :exclude    Array(String)?           leave out these items; repeat it
-- :category   String?                  only items of this category, or below it
-- :brand      Array(String)?           only items of these brands
-- :min_price  Float64? (0..1e12)       none that costs less
-- :max_price  Float64? (0..1e12)       none that costs more
--
-- @cache 60s
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import counted, may_show, new_to %}
with
    everything as (
        select item_key, item_totals.buyers as counted_buyers
        from item_totals
        where item_key != 0
        union all
        select cityHash64(items.item_id) as item_key, 0 as counted_buyers
        from items
        union all
        select item_key, 0 as counted_buyers
        from item_ids
    ),
    known as (select item_key, sum(counted_buyers) as people from everything group by item_key),
    best as (
        select item_key, people
        from known
        where
            {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            {% if user_id %} and {{ new_to("item_key", user_id, leave_out) }} {% endif %}
        order by people desc, item_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
    {{ item("category", "item_key") }} as category,
    people as buyers,
    toFloat64(people) as score,
    if(
        people > 0, concat('bought by ', {{ counted("people", "person", "people") }}), 'to be discovered'
    ) as reason
from best
order by people desc, item_id
limit {{ limit }}
