-- Items that go with those of this visit, for guests of whom nothing else is known. Later items of the
-- visit count more. Candidates are scored by the visits and orders that they share with its items.
--
-- :item_id  Array(String)         the items of the visit, the latest last; repeat it
-- :limit    UInt16 = 10 (1..100)  number of items
-- @use filters
-- @use language
--
-- @cache 500ms
-- @fallback trending
{#- The "vec" weights of VS-kNN (Ludewig and Jannach 2018): the n-th of L items weighs n/L, divided by L. Summed over all sessions
    with an item this is a sum over pair counts, so no session is read. Pair counts cannot have its discount for sessions that
    share only earlier items. -#}
{% from 'catalogue.sql' import buyable, group_of, groups_of, item, item_columns, keys_of, strongest_of_group, title_in %}
{% from 'companions.sql' import companions_of, since_reference %}
{% from 'constants.sql' import half_life_days, max_pairs %}
{% from 'lists.sql' import boosted, is_eligible %}
{% from 'reasons.sql' import goes_with %}
{% from 'signals.sql' import decay, signal %}
with
    arrayMap(one -> cityHash64(one), {{ item_id }}) as visited,
    pairs as (
        select
            item_key,
            other_item_key,
            sum(sessions) as viewed,
            0 as bought,
            sum(sessions * {{ decay("month", now, half_life_days) }}) as evidence
        from co_views
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        order by evidence desc, other_item_key
        limit {{ max_pairs }} by item_key
        union all
        select
            asked_key,
            other_item_key,
            0 as viewed,
            times as bought,
            strength
            * {{ since_reference(now) }}
            * {{ signal("'purchase'") }}
            / {{ signal("'view'") }} as evidence
        from ({{ companions_of(item_id) }})
    ),
    weighed as (
        {# An item that occurs twice counts at its last position. #}
        select
            item_key,
            other_item_key,
            {{ buyable("other_item_key") }} as shown_key,
            viewed,
            bought,
            evidence
            * (length(visited) + 1 - indexOf(arrayReverse(visited), item_key))
            / pow(length(visited), 2) as strength
        from pairs
    ),
    scored as (
        select
            {{ strongest_of_group("shown_key", "shown_key = other_item_key, weighed.strength") }}
            as found_key,
            argMax(weighed.item_key, (weighed.strength, weighed.item_key)) as because_key,
            uniqExact(weighed.item_key) as with_items,
            sum(weighed.viewed) as times_viewed,
            sum(weighed.bought) as times_bought,
            sum(weighed.strength) as total
        from weighed
        where {{ group_of("other_item_key") }} not in {{ groups_of(item_id) }}
        group by {{ group_of("shown_key") }}
        having times_viewed + times_bought > 0
    ),
    best as (
        select *, {{ boosted("found_key", "total") }} as fit
        from scored
        where {{ is_eligible("found_key", **filters) }}
        order by fit desc, found_key
        limit {{ limit }}
    )
select
    {{ item_columns("found_key", language=language) }},
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ title_in(language, "because_key") }} as because_title,
    times_viewed as sessions,
    times_bought as baskets,
    round(fit, 6) as score,
    {{ goes_with("because_key", "with_items - 1", "times_viewed", "times_bought") }} as reason
from best
order by fit desc, found_key
limit {{ limit }}
