-- Items that this user may want next. They go with everything the user bought, carted and viewed; recent
-- activity counts most. `alsobought learn neighbours` learns which items go together; baskets decide for
-- items that are too new for it. Liked categories rank higher. With exclude_history=nothing the list
-- includes repeat purchases.
--
-- :user_id  String                the user; a guest's session_id works too
-- :limit    UInt16 = 10 (1..100)  number of items
-- :rotate   Bool = true           discount items that were shown and never clicked
-- @use user
-- @use filters
-- @use reranking
--
-- @cache 60s user_id
-- @fallback trending
{% from 'catalogue.sql' import item, item_columns %}
{% from 'lists.sql' import boosted, discounted, is_eligible, is_unseen, reranked %}
{% from 'reasons.sql' import because_of, or_pinned %}
{% from 'signals.sql' import signal %}
with
    days as (
        select
            item_key as did_key,
            event_type,
            events,
            day,
            last_seq,
            dense_rank() over (order by day desc) as nth
        from user_days
        where user_id = {{ user_id }} and event_type != 'impression'
    ),
    habits as (
        {# Each active day counts .95 of the next one. #}
        select
            did_key,
            sum(
                events * {{ signal("event_type") }} / {{ signal("'purchase'") }} * pow(0.95, nth - 1)
            ) as habit,
            (sumIf(events, event_type = 'purchase'), sumIf(events, event_type != 'purchase')) as times,
            {# Activity of the last day counts up to 3×, the latest most. #}
            log2(1 + habit) * (
                1 + if(
                    max(day) + 1 >= toDate({{ now }}),
                    2 * exp2((1 - row_number() over (order by max(last_seq) desc)) / 5),
                    0
                )
            ) as interest
        from days
        group by did_key
        having habit > 0
    ),
    companions as (
        {# The companions of each item and their weights: learned, else from the baskets of the latest ten items. #}
        select item_key as own_key, neighbours as others
        from item_neighbours
        where item_key in (select item_key from user_days where user_id = {{ user_id }})
        union all
        select item_key, groupArray((other_item_key, part))
        from
            (
                select
                    item_key,
                    other_item_key,
                    sum(weight) / sum(sum(weight)) over (partition by item_key) as part
                from co_baskets
                where
                    item_key in (
                        select item_key
                        from user_days
                        where
                            user_id = {{ user_id }}
                            and event_type != 'impression'
                            and item_key not in (
                                select item_key
                                from item_neighbours
                                where
                                    item_key in (select item_key from user_days where user_id = {{ user_id }})
                            )
                        group by item_key
                        order by max(last_seq) desc, item_key
                        limit 10
                    )
                group by item_key, other_item_key
                having sum(baskets) > 0
            )
        group by item_key
    ),
    returned as (
        {# Items that their buyers buy again count more. #}
        select item_key as totals_key, pow((sum(orders) + 2) / (sum(buyers) + 2), 0.3) as again
        from item_totals
        where
            {{ exclude_history }} = 'nothing'
            and item_key in (select item_key from user_days where user_id = {{ user_id }})
        group by totals_key
    ),
    found as (
        select
            tupleElement(one, 1) as found_key,
            sum(tupleElement(one, 2)) as own,
            sum(tupleElement(one, 3)) as wanted,
            maxIf(times, found_key = did_key) as own_times,
            argMax((did_key, times), (tupleElement(one, 3), did_key)) as because
        from habits
        left join companions on own_key = did_key
        left join returned on totals_key = did_key
        array join
            arrayConcat(
                [(did_key, habit * greatest(1, again), 0.)],
                arrayMap(other -> (tupleElement(other, 1), 0., tupleElement(other, 2) * interest), others)
            ) as one
        group by found_key
    ),
    tastes as (
        select category as liked_category, sum(events * {{ signal("event_type") }}) as liking
        from user_categories
        where user_id = {{ user_id }} and liked_category != ''
        group by liked_category
        having liking > 0
    ),
    shares as (select liked_category, liking / sum(liking) over () as share from tastes),
    parts as (
        select
            found_key,
            own_times,
            because,
            if({{ exclude_history }} = 'nothing', own / sum(own) over (), 0) as own_part,
            {# A category with all of the user's interest counts twice. #}
            0.3 * wanted / greatest(sum(wanted) over (), 1e-9) * (1 + shares.share) as wanted_part
        from found
        left join shares on shares.liked_category = {{ item("category", "found_key") }}
    ),
    weighed as (
        select
            found_key,
            own_part + wanted_part as fit,
            if(own_part >= wanted_part, 0, tupleElement(because, 1)) as because_key,
            if(own_part >= wanted_part, own_times, tupleElement(because, 2)) as because_times
        from parts
        where
            fit > 0
            and {{ is_eligible("found_key", exclude, category, brand, min_price, max_price) }}
            and {{ is_unseen("found_key", user_id, exclude_history) }}
        order by fit desc, found_key
        limit 1000
    ),
    ranked as (
        select
            found_key,
            because_key,
            because_times,
            {{ boosted("found_key", discounted("found_key", "fit", user_id, rotate)) }} as strength
        from weighed
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "found_key",
                "strength",
                "strength desc, found_key",
                limit,
                may_pin=is_eligible("pinned_key", exclude, category, brand, min_price, max_price),
                diversity=diversity,
                per_category=per_category,
                window=window,
                explore=explore,
                seed=seed,
                user_id=user_id,
            )
        }}
    )
select
    {{ item_columns("found_key") }},
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ item("title", "because_key") }} as because_title,
    round(strength, 6) as score,
    {{
        or_pinned(
            because_of(
                "because_key", "because_item_id", "because_title", "because_times.1", "because_times.2"
            )
        )
    }} as reason,
    propensity
from arranged
order by position, strength desc, found_key
limit {{ limit }}
