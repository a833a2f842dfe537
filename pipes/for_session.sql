-- What a visitor may want next, from nothing but the items of this visit: the later ones count more. Nobody
-- needs to be known. What counts is in how many visits each candidate was viewed with them, and in how many
-- orders it was bought with them.
--
-- :item_id    Array(String)            the items of this visit in their order, the latest last; repeat it
-- :limit      UInt16 = 10 (1..100)     how many
-- :exclude    Array(String)?           leave out these items; repeat it
-- :category   String?                  only items of this category, or below it
-- :brand      Array(String)?           only items of these brands
-- :min_price  Float64? (0..1e12)       none that costs less
-- :max_price  Float64? (0..1e12)       none that costs more
--
-- @cache 500ms
-- @fallback trending
{#- The neighbours of VS-kNN (Ludewig and Jannach 2018) weigh by "vec": the n-th of L items by n/L, divided by L. Summed over
    all sessions with an item that is a sum over pair counts, so that no session needs to be looked at. What is left out: its
    discount for sessions that share only earlier items, which pair counts cannot know. -#}
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import boosted, counted, may_show %}
{% from 'signals.sql' import decay, signal %}
{% from 'words.sql' import named %}
with
    arrayMap(one -> cityHash64(one), {{ item_id }}) as visited,
    pairs as (
        {# The strongest of each suffice. #}
        select
            item_key,
            other_item_key,
            sum(sessions) as viewed,
            0 as bought,
            sum(sessions * {{ decay("month", now, 180) }}) as evidence
        from co_views
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        order by evidence desc, other_item_key
        limit 300 by item_key
        union all
        select
            item_key,
            other_item_key,
            0 as viewed,
            sum(baskets) as bought,
            sum(weight * {{ decay("month", now, 180) }})
            / 1e6
            * {{ signal("'purchase'") }}
            / {{ signal("'view'") }} as evidence
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        order by evidence desc, other_item_key
        limit 300 by item_key
    ),
    weighed as (
        {# An item that comes twice counts where it came last. #}
        select
            item_key,
            other_item_key,
            viewed,
            bought,
            evidence
            * (length(visited) + 1 - indexOf(arrayReverse(visited), item_key))
            / pow(length(visited), 2) as strength
        from pairs
    ),
    scored as (
        select
            other_item_key,
            argMax(weighed.item_key, (weighed.strength, weighed.item_key)) as because_key,
            uniqExact(weighed.item_key) as with_items,
            sum(weighed.viewed) as times_viewed,
            sum(weighed.bought) as times_bought,
            sum(weighed.strength) as total
        from weighed
        where other_item_key not in {{ keys_of(item_id) }}
        group by other_item_key
        having times_viewed + times_bought > 0
    ),
    best as (
        select
            other_item_key,
            because_key,
            with_items,
            times_viewed,
            times_bought,
            {{ boosted("other_item_key", "total") }} as fit
        from scored
        where {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        order by fit desc, other_item_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "other_item_key") }} as item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ item("title", "because_key") }} as because_title,
    times_viewed as sessions,
    times_bought as baskets,
    round(fit, 6) as score,
    concat(
        'goes with ',
        {{ named("because_key") }},
        if(with_items > 1, concat(' and ', {{ counted("with_items - 1", "other item", "other items") }}), ''),
        ': ',
        if(
            times_viewed > 0,
            concat('viewed together in ', {{ counted("times_viewed", "visit", "visits") }}),
            ''
        ),
        if(times_viewed > 0 and times_bought > 0, ', ', ''),
        if(
            times_bought > 0,
            concat('bought together in ', {{ counted("times_bought", "basket", "baskets") }}),
            ''
        )
    ) as reason
from best
order by fit desc, item_id
limit {{ limit }}
